"""
The Python client of Azure Attestation, unmodified: policies and the
certificates of those who sign them.
"""

import hashlib

import pytest

from azure.core.exceptions import ClientAuthenticationError
from azure.security.attestation import (
    AttestationPolicyToken,
    AttestationType,
    CertificateModification,
    PolicyModification,
)

from tests.conformance.azure import (
    DEFAULT_HASH,
    NO_POLICY,
    PERMIT,
    PERMIT_HASH,
    TYPES,
    to_url,
)
from tests.conformance.azure_python import administrating, attesting, refused
from tests.conformance.signers import make_signer


SGX = AttestationType.SGX_ENCLAVE
OPEN = AttestationType.OPEN_ENCLAVE
TPM = AttestationType.TPM


def signed_by(signer):
    """
    Return the options by which the client signs, if it does.
    """
    if signer is None:
        return {}
    return {
        "signing_key": signer.key,
        "signing_certificate": signer.certificate,
    }


@pytest.fixture
def aad(azure):
    """
    A client that may change the policies of the provider that wants no
    signatures; that of quotes is as before afterwards.
    """
    with administrating(azure, azure.aad) as client:
        before, _ = client.get_policy(SGX)
        yield client
        if client.get_policy(SGX)[0] != before:
            client.reset_policy(SGX)


@pytest.fixture
def isolated(azure):
    """
    A client that may change those of the provider that wants the owner's, and
    signs for the owner; all is as before afterwards.
    """
    with administrating(
        azure, azure.isolated, **signed_by(azure.owner)
    ) as client:
        before, _ = client.get_policy(SGX)
        yield client
        if client.get_policy(SGX)[0] != before:
            client.reset_policy(SGX)
        for (pem,) in certificates(client):
            if pem != azure.owner.certificate:
                client.remove_policy_management_certificate(pem)


@pytest.fixture
def unsigned(azure):
    """
    A client of the same provider that signs nothing.
    """
    with administrating(azure, azure.isolated) as client:
        yield client


@pytest.fixture
def shared(azure):
    """
    A client of the shared provider.
    """
    with administrating(azure, azure.shared) as client:
        yield client


def certificates(client):
    """
    Return the chains of those who may sign.
    """
    return client.get_policy_management_certificates()[0]


def stored(client, kind):
    """
    Return a policy as it is kept.
    """
    _, token = client.get_policy(kind)
    return token._get_body().policy


class TestGet:
    @pytest.mark.parametrize("provider", ["shared", "aad", "isolated"])
    @pytest.mark.parametrize("kind", TYPES)
    def test_default(self, azure, provider, kind):
        """
        Where no policy was set there is a usual one.
        """
        with administrating(azure, getattr(azure, provider)) as client:
            policy, token = client.get_policy(kind)

        assert policy.startswith("version")
        assert getattr(azure, provider) == token.issuer
        assert 3600 == (token.expires - token.issued).total_seconds()

    @pytest.mark.parametrize("provider", ["shared", "aad", "isolated"])
    def test_tpm(self, azure, provider):
        """
        There is none for TPMs.
        """
        with administrating(azure, getattr(azure, provider)) as client:
            assert "" == client.get_policy(TPM)[0]

    def test_enclaves(self, shared):
        """
        The usual ones for enclaves are the same, to the letter.
        """
        sgx, _ = shared.get_policy(SGX)
        digest = hashlib.sha256(to_url(sgx.encode()).encode()).digest()

        assert DEFAULT_HASH == to_url(digest)
        assert sgx == shared.get_policy(OPEN)[0]


class TestAad:
    @pytest.mark.parametrize("kind", TYPES)
    def test_set(self, aad, kind):
        """
        A policy that nobody has signed is taken, and its hash told.
        """
        result, token = aad.set_policy(kind, PERMIT)

        sent = AttestationPolicyToken(PERMIT).to_jwt_string()
        digest = hashlib.sha256(sent.encode()).digest()
        assert PolicyModification.UPDATED == result.policy_resolution
        assert digest == result.policy_token_hash
        assert result.policy_signer is None
        assert token.algorithm == "RS256"
        assert PERMIT == aad.get_policy(kind)[0]
        assert sent == stored(aad, kind)
        aad.reset_policy(kind)

    def test_signed(self, aad):
        """
        One that anybody has signed is taken, kept with the signature, and the
        signer told.

        With an RSA key: with one on a curve this client cannot sign, although
        it takes one.
        """
        signer = make_signer("anybody.example")
        result, _ = aad.set_policy(SGX, PERMIT, **signed_by(signer))

        kept = stored(aad, SGX)
        digest = hashlib.sha256(kept.encode()).digest()
        assert PolicyModification.UPDATED == result.policy_resolution
        assert digest == result.policy_token_hash
        assert [signer.certificate] == result.policy_signer.certificates
        assert PERMIT == aad.get_policy(SGX)[0]
        assert all(kept.split("."))

    def test_signed_hash(self, aad):
        """
        The hash is that of what was sent, which the client can make again.
        """
        options = signed_by(make_signer("anybody.example"))
        result, _ = aad.set_policy(SGX, PERMIT, **options)

        sent = AttestationPolicyToken(PERMIT, **options).to_jwt_string()
        digest = hashlib.sha256(sent.encode()).digest()
        assert digest == result.policy_token_hash
        assert sent == stored(aad, SGX)

    @pytest.mark.parametrize("name", [None, "anybody.example"])
    @pytest.mark.parametrize("kind", [SGX, TPM])
    def test_reset(self, aad, kind, name):
        """
        A reset brings back what was before, signed or not.
        """
        before = aad.get_policy(kind)[0]
        signer = name and make_signer(name)
        aad.set_policy(kind, PERMIT)
        result, _ = aad.reset_policy(kind, **signed_by(signer))

        assert PolicyModification.REMOVED == result.policy_resolution
        assert result.policy_token_hash is None
        assert before == aad.get_policy(kind)[0]

    def test_apart(self, aad):
        """
        Quotes and reports of enclaves have policies of their own.
        """
        before = aad.get_policy(OPEN)[0]
        aad.set_policy(SGX, PERMIT)

        assert before == aad.get_policy(OPEN)[0]

    def test_in_force(self, azure, aad):
        """
        What is set is in force at once; who has signed it is in the token.
        """
        signer = make_signer("anybody.example")
        hashes = []
        with attesting(azure, azure.aad) as client:
            for each in (None, signer):
                aad.set_policy(SGX, PERMIT, **signed_by(each))
                result, token = client.attest_sgx_enclave(azure.quote())
                hashes.append(to_url(result.policy_hash))
                signers = token._body.get("x-ms-policy-signer")
            report, _ = client.attest_open_enclave(azure.report())

        assert [PERMIT_HASH] * 2 == hashes
        assert "RSA" == signers["kty"]
        assert DEFAULT_HASH == to_url(report.policy_hash)

    def test_malformed(self, aad):
        """
        What is no policy is refused in Azure's words, and the one before
        stays.
        """
        aad.set_policy(SGX, PERMIT)
        with refused(400, "PolicyParsingError"):
            aad.set_policy(SGX, NO_POLICY)

        assert PERMIT == aad.get_policy(SGX)[0]

    def test_no_certificates(self, azure, aad):
        """
        It has no certificates, and gets none.
        """
        assert [] == certificates(aad)
        options = signed_by(azure.owner)
        with refused(400, "InvalidOperation"):
            aad.add_policy_management_certificate(
                azure.owner.certificate, **options
            )

    def test_other_token(self, azure):
        """
        A token that is not ours is a 401, for which the client has an error
        of its own.
        """
        with administrating(azure, azure.aad, "nobody's") as client:
            for call in (
                lambda: client.get_policy(SGX),
                lambda: client.set_policy(SGX, PERMIT),
                lambda: client.reset_policy(SGX),
                client.get_policy_management_certificates,
            ):
                with pytest.raises(ClientAuthenticationError) as caught:
                    call()
                assert 401 == caught.value.status_code


class TestShared:
    def test_unchangeable(self, azure, shared):
        """
        Nobody changes what is shared.
        """
        options = signed_by(azure.owner)
        certificate = azure.owner.certificate
        for call in (
            lambda: shared.set_policy(SGX, PERMIT),
            lambda: shared.set_policy(SGX, PERMIT, **options),
            lambda: shared.reset_policy(SGX),
            lambda: shared.add_policy_management_certificate(
                certificate, **options
            ),
            lambda: shared.remove_policy_management_certificate(
                certificate, **options
            ),
        ):
            with pytest.raises(ClientAuthenticationError) as caught:
                call()
            assert 401 == caught.value.status_code

    def test_no_certificates(self, shared):
        """
        It has no certificates.
        """
        assert [] == certificates(shared)


class TestIsolated:
    def test_set(self, azure, isolated):
        """
        What the owner has signed is taken, and reset.
        """
        before = isolated.get_policy(SGX)[0]
        result, _ = isolated.set_policy(SGX, PERMIT)
        owner = [azure.owner.certificate]
        assert PolicyModification.UPDATED == result.policy_resolution
        assert owner == result.policy_signer.certificates
        assert PERMIT == isolated.get_policy(SGX)[0]

        result, _ = isolated.reset_policy(SGX)
        assert PolicyModification.REMOVED == result.policy_resolution
        assert before == isolated.get_policy(SGX)[0]

    def test_in_force(self, azure, isolated):
        """
        The token says by whose policy it was given.
        """
        isolated.set_policy(SGX, PERMIT)
        with attesting(azure, azure.isolated) as client:
            _, token = client.attest_sgx_enclave(azure.quote())

        signer = token._body["x-ms-policy-signer"]
        assert PERMIT_HASH == token._body["x-ms-policy-hash"]
        assert azure.owner.base64 == signer["x5c"][0]

    @pytest.mark.parametrize("name", [None, "stranger.example"])
    def test_others(self, isolated, unsigned, name):
        """
        What nobody or somebody else has signed is not.
        """
        isolated.set_policy(SGX, PERMIT)
        options = signed_by(name and make_signer(name))
        with refused(400, "InvalidOperation"):
            unsigned.set_policy(SGX, f"{PERMIT} // other", **options)
        with refused(400, "InvalidOperation"):
            unsigned.reset_policy(SGX, **options)

        assert PERMIT == isolated.get_policy(SGX)[0]


class TestCertificates:
    def test_seeded(self, azure, isolated):
        """
        At first there is the owner's.
        """
        assert [[azure.owner.certificate]] == certificates(isolated)

    @pytest.mark.parametrize("key", ["RSA", "P-256"])
    def test_add(self, azure, isolated, key):
        """
        Another one is added, as often as it is sent.
        """
        other = make_signer("another.example", key)
        for _ in range(2):
            result, _ = isolated.add_policy_management_certificate(
                other.certificate
            )
            present = CertificateModification.IS_PRESENT
            assert present == result.certificate_resolution
            assert other.thumbprint == result.certificate_thumbprint

        found = certificates(isolated)
        owned = [[azure.owner.certificate], [other.certificate]]
        assert sorted(owned) == sorted(found)

    def test_sign(self, isolated, unsigned):
        """
        Its key signs policies then.
        """
        other = make_signer("another.example")
        isolated.add_policy_management_certificate(other.certificate)
        result, _ = unsigned.set_policy(SGX, PERMIT, **signed_by(other))

        assert PolicyModification.UPDATED == result.policy_resolution
        assert [other.certificate] == result.policy_signer.certificates

    def test_remove(self, azure, isolated, unsigned):
        """
        It is removed, as often as it is sent; its key signs no more.
        """
        other = make_signer("another.example")
        isolated.add_policy_management_certificate(other.certificate)
        for _ in range(2):
            result, _ = isolated.remove_policy_management_certificate(
                other.certificate
            )
            absent = CertificateModification.IS_ABSENT
            assert absent == result.certificate_resolution
            assert other.thumbprint == result.certificate_thumbprint

        assert [[azure.owner.certificate]] == certificates(isolated)
        with refused(400, "InvalidOperation"):
            unsigned.set_policy(SGX, PERMIT, **signed_by(other))

    def test_last(self, azure, isolated):
        """
        The last one stays.
        """
        with refused(400, "InvalidOperation"):
            isolated.remove_policy_management_certificate(
                azure.owner.certificate
            )

        assert [[azure.owner.certificate]] == certificates(isolated)

    def test_others(self, azure, unsigned):
        """
        Nobody adds or removes any but by one that is there.
        """
        stranger = make_signer("stranger.example")
        for call, certificate in (
            ("add", stranger.certificate),
            ("remove", azure.owner.certificate),
        ):
            change = getattr(unsigned, f"{call}_policy_management_certificate")
            with refused(400, "InvalidOperation"):
                change(certificate, **signed_by(stranger))

        assert [[azure.owner.certificate]] == certificates(unsigned)
