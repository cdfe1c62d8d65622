"""
The Python client of Azure Attestation, unmodified: attestation and metadata.
"""

import base64
import datetime
import functools
import hashlib
import json

import pytest

from azure.security.attestation import AttestationTokenValidationException
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conformance.azure import (
    DEFAULT_HASH,
    DENYING,
    HELD,
    ISSUING,
    NO_POLICY,
    PERMIT,
    PERMIT_HASH,
    to_url,
)
from tests.conformance.azure_python import attesting, refused


HOURS_8 = datetime.timedelta(hours=8)


@pytest.fixture(scope="module", params=["shared", "aad", "isolated"])
def endpoint(azure, request):
    """
    The URL of a provider of each kind.
    """
    return getattr(azure, request.param)


@pytest.fixture(scope="module")
def client(azure, endpoint):
    """
    A client of that provider.
    """
    with attesting(azure, endpoint) as made:
        yield made


@pytest.fixture(scope="module")
def shared(azure):
    """
    A client of the shared provider.
    """
    with attesting(azure, azure.shared) as made:
        yield made


class TestMetadata:
    def test_openid(self, client, endpoint):
        """
        The OpenID document names the provider as the client calls it.
        """
        found = client.get_open_id_metadata()

        assert endpoint == found["issuer"]
        assert f"{endpoint}/certs" == found["jwks_uri"]
        assert ["RS256"] == found["id_token_signing_alg_values_supported"]
        assert found["response_types_supported"]
        assert found["claims_supported"]

    def test_signers(self, client, endpoint):
        """
        Each signer has a certificate of the provider's and the documented ID.
        """
        found = client.get_signing_certificates()

        assert found
        for signer in found:
            pem = signer.certificates[0].encode()
            certificate = x509.load_pem_x509_certificate(pem)
            key = certificate.public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            )
            digest = hashlib.sha256(key + b"\0").digest()
            named = f"CN={endpoint}"
            assert base64.b64encode(digest).decode() == signer.key_id
            assert named == certificate.subject.rfc4514_string()
            assert named == certificate.issuer.rfc4514_string()


@pytest.fixture(params=["sgx_enclave", "open_enclave"])
def form(request):
    """
    What the evidence of an enclave is: a quote, or the same as a report.
    """
    return request.param


@pytest.fixture
def evidence(azure, form):
    """
    The evidence.
    """
    return (azure.quote if form == "sgx_enclave" else azure.report)(HELD)


class TestEnclaves:
    """
    Enclaves at each provider.
    """

    @pytest.fixture
    def attest(self, client, form, evidence):
        """
        Attest the evidence.
        """
        call = getattr(client, f"attest_{form}")
        return functools.partial(call, evidence)

    def test_binary(self, attest, endpoint, evidence):
        """
        Data that the enclave holds comes back as the bytes that they are.
        """
        result, _ = attest(runtime_data=HELD)

        assert HELD == result.enclave_held_data
        assert result.runtime_claims is None
        assert ("sgx", "1.0") == (result.verifier_type, result.version)
        assert (endpoint, 64) == (result.issuer, len(result.unique_id))
        assert DEFAULT_HASH == to_url(result.policy_hash)
        assert result.policy_signer is None
        quoted = hashlib.sha256(evidence).hexdigest()
        assert quoted == result.sgx_collateral["quotehash"]

    def test_json(self, attest):
        """
        The same data as JSON are claims, and no bytes.
        """
        result, token = attest(runtime_json=HELD)

        assert json.loads(HELD) == result.runtime_claims
        assert result.enclave_held_data is None
        assert token._get_body().iss == result.issuer

    def test_draft(self, attest, endpoint):
        """
        By a draft of a policy it gets a token that nobody has signed.
        """
        result, token = attest(runtime_json=HELD, draft_policy=PERMIT)

        assert ("none", b"") == (token.algorithm, token.signature_bytes)
        assert (f"{endpoint}/certs", "JWT") == (token.key_url, token.type)
        assert PERMIT_HASH == to_url(result.policy_hash)
        assert json.loads(HELD) == result.runtime_claims
        assert result.sgx_collateral is not None


class TestEvidence:
    """
    Whatever the provider.
    """

    @pytest.fixture
    def attest(self, shared, form, evidence):
        """
        Attest the evidence.
        """
        call = getattr(shared, f"attest_{form}")
        return functools.partial(call, evidence)

    def test_measurements(self, attest, evidence):
        """
        What the quote says of the enclave is told.
        """
        result, _ = attest(runtime_data=HELD)

        quote = evidence[16:] if evidence[:2] == b"\1\0" else evidence
        body = quote[48:432]
        assert body[64:96].hex() == result.mr_enclave
        assert body[128:160].hex() == result.mr_signer
        assert int.from_bytes(body[256:258], "little") == result.product_id
        assert int.from_bytes(body[258:260], "little") == result.svn
        assert result.is_debuggable is False

    def test_no_data(self, attest):
        """
        Nobody has to say what the enclave holds.
        """
        result, _ = attest()

        assert result.enclave_held_data is None
        assert result.runtime_claims is None

    def test_not_checked(self, attest):
        """
        The client may also not look at the token.
        """
        result, _ = attest(runtime_data=HELD, validate_token=False)

        assert HELD == result.enclave_held_data

    def test_init_time(self, azure, shared, form):
        """
        Data from when the enclave was made are bound by its configuration.
        """
        made = azure.quote if form == "sgx_enclave" else azure.report
        evidence = made(HELD, **azure.configured(b"init"))
        attest = getattr(shared, f"attest_{form}")
        result, token = attest(
            evidence, runtime_data=HELD, inittime_data=b"init"
        )

        digest = hashlib.sha256(b"init").digest().ljust(64, b"\0").hex()
        assert digest == token._body["x-ms-sgx-config-id"]
        assert HELD == result.enclave_held_data

    def test_init_time_json(self, attest):
        """
        As JSON the client sends their kind and forgets the data: they are not
        there, then.
        """
        result, _ = attest(runtime_data=HELD, inittime_json=b'{"a": 1}')

        assert result.inittime_claims is None

    def test_wrong_data(self, attest):
        """
        Other data than the enclave's are refused, each time.
        """
        for data in ({"runtime_data": b"x"}, {"runtime_json": b'{"a": 1}'}):
            with refused(400, "InvalidParameter"):
                attest(**data)

    def test_wrong_init_time(self, attest):
        """
        So are such data of an enclave that has no configuration.
        """
        with refused(400, "InvalidParameter"):
            attest(runtime_data=HELD, inittime_data=b"init")


class TestToken:
    def test_header(self, azure, shared):
        """
        A token names the key that has signed it, and where that is found.
        """
        _, token = shared.attest_sgx_enclave(azure.quote())

        keys = {s.key_id for s in shared.get_signing_certificates()}
        assert {"alg", "jku", "kid", "typ"} == set(token._header)
        assert ("RS256", "JWT") == (token.algorithm, token.type)
        assert f"{azure.shared}/certs" == token.key_url
        assert token.key_id in keys

    def test_times(self, azure, shared):
        """
        It is good for eight hours from now on.
        """
        before = datetime.datetime.now() - datetime.timedelta(seconds=2)  # noqa: DTZ005 - as the client reads it
        _, token = shared.attest_sgx_enclave(azure.quote())

        assert HOURS_8 == token.expires - token.issued
        assert before < token.issued
        assert token.not_before <= token.issued

    def test_callback(self, azure, shared):
        """
        The user's own checks see the token and its signer.
        """
        seen = []
        result, _ = shared.attest_sgx_enclave(
            azure.quote(), validation_callback=lambda *found: seen.append(found)
        )

        ((token, signer),) = seen
        assert azure.shared == token.issuer == result.issuer
        assert token.key_id == signer.key_id

    def test_callback_refuses(self, azure, shared):
        """
        What they do not like is not taken.
        """

        def refuse(*_found):
            raise LookupError

        with pytest.raises(LookupError):
            shared.attest_sgx_enclave(azure.quote(), validation_callback=refuse)

    def test_issuer(self, azure, shared):
        """
        Nor is the token of another issuer.
        """
        with pytest.raises(AttestationTokenValidationException, match="Issuer"):
            shared.attest_sgx_enclave(azure.quote(), issuer=azure.aad)

    def test_own_claims(self, azure, shared):
        """
        Beside Azure's claims stand thim's own.
        """
        _, token = shared.attest_sgx_enclave(azure.quote())

        assert "UpToDate" == token._body["x-thim-tcb-status"]
        assert isinstance(token._body["x-thim-evaluation-number"], int)
        assert token._body["x-thim-baseline"]

    def test_any_credential(self, azure):
        """
        The client cannot do without a credential; whose it is makes no
        difference.
        """
        with attesting(azure, azure.shared, "nobody's") as client:
            result, _ = client.attest_sgx_enclave(azure.quote())

        assert azure.shared == result.issuer


class TestDrafts:
    def test_issues(self, azure, shared):
        """
        What a draft issues is in the token.
        """
        _, token = shared.attest_sgx_enclave(
            azure.quote(), draft_policy=ISSUING
        )

        assert "blue" == token._body["color"]
        assert "sgx-mrenclave" not in token._body

    @pytest.mark.parametrize(
        ("draft", "code", "said"),
        [
            (DENYING, "PolicyEvaluationError", "A Deny claim was issued"),
            (NO_POLICY, "PolicyParsingError", "Offending symbol: "),
        ],
    )
    def test_refused(self, azure, shared, draft, code, said):
        """
        One that denies or makes no sense gets an error in Azure's words.
        """
        with refused(400, code, said):
            shared.attest_sgx_enclave(azure.quote(), draft_policy=draft)


class TestRefused:
    @pytest.mark.parametrize("evidence", [b"", b"a", b"\1" * 4000])
    def test_no_evidence(self, shared, evidence):
        """
        What is no evidence is a 400.
        """
        for call in (shared.attest_sgx_enclave, shared.attest_open_enclave):
            with refused(400):
                call(evidence)

    def test_tpm(self, shared):
        """
        TPMs are not attested, and that is said.
        """
        content = json.dumps({"payload": {"type": "aikcert"}})
        with refused(400, said="Tpm"):
            shared.attest_tpm(content)
