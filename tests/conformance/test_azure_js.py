"""
The JavaScript client of Azure Attestation, unmodified: each call it has.
"""

import contextlib
import functools
import hashlib
import json

import pytest

from tests.conformance.azure import (
    DEFAULT_HASH,
    DENYING,
    HELD,
    NO_POLICY,
    PERMIT,
    PERMIT_HASH,
    TYPES,
    to_url,
)
from tests.conformance.node import NodeError
from tests.conformance.signers import make_signer
from tests.needs import needs_node


pytestmark = needs_node
SGX, OPEN = "SgxEnclave", "OpenEnclave"
PROVIDERS = ("shared", "aad", "isolated")
ADMIN = "AttestationAdministrationClient"


@pytest.fixture(params=PROVIDERS)
def provider(azure, request):
    """
    The URL of a provider of each kind.
    """
    return getattr(azure, request.param)


@pytest.fixture
def attest(node, provider):
    """
    Call a client that has no credential, and checks all that it can check.
    """
    return functools.partial(node.call, endpoint=provider, check=True)


@pytest.fixture
def attest_shared(node, azure):
    """
    The same at the shared provider.
    """
    return functools.partial(node.call, endpoint=azure.shared, check=True)


@pytest.fixture(params=["Sgx", "Open"])
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
    return (azure.quote if form == "Sgx" else azure.report)(HELD)


@pytest.fixture
def administrate(azure, node):
    """
    Call a client that may change policies.
    """
    return functools.partial(
        node.call, client=ADMIN, token=azure.token, check=True
    )


@pytest.fixture
def aad(azure, administrate):
    """
    The same at the provider that wants no signatures; the policy of quotes is
    as before afterwards.
    """
    call = functools.partial(administrate, endpoint=azure.aad)
    before = policy_of(call, SGX)
    yield call
    if policy_of(call, SGX) != before:
        call("resetPolicy", SGX)


@pytest.fixture
def isolated(azure, administrate):
    """
    The same at the provider that wants the owner's; all is as before
    afterwards.
    """
    call = functools.partial(administrate, endpoint=azure.isolated)
    before = policy_of(call, SGX)
    yield call
    if policy_of(call, SGX) != before:
        call("resetPolicy", SGX, **signed_by(azure.owner))
    for pem in certificates(call):
        if pem != azure.owner.certificate:
            owner = (azure.owner.key, azure.owner.certificate)
            call("removePolicyManagementCertificate", pem, *owner)


def signed_by(signer):
    """
    Return the options by which the client signs.
    """
    return {"privateKey": signer.key, "certificate": signer.certificate}


def certificates(call):
    """
    Return the certificates of those who may sign.
    """
    found = call("getPolicyManagementCertificates").value["body"]
    return [pem for signer in found for pem in signer["certificates"]]


def policy_of(call, kind):
    """
    Return a policy.
    """
    return call("getPolicy", kind).value["body"]


@contextlib.contextmanager
def refused(status, code):
    """
    Expect an error of the service's until the end of the ``with``.
    """
    with pytest.raises(NodeError) as caught:
        yield
    error = caught.value
    found = (error.name, error.status, error.code)
    assert ("RestError", status, code) == found, error


class TestMetadata:
    def test_openid(self, attest, provider):
        """
        The OpenID document names the provider as the client calls it.
        """
        found = attest("getOpenIdMetadata").value

        assert provider == found["issuer"]
        assert f"{provider}/certs" == found["jwks_uri"]

    def test_signers(self, attest, azure, provider):
        """
        There are signers, the same for everybody.
        """
        found = attest("getAttestationSigners").value
        others = attest("getAttestationSigners", endpoint=azure.shared).value

        assert found
        assert [s["keyId"] for s in others] == [s["keyId"] for s in found]
        for signer in found:
            (pem,) = signer["certificates"]
            assert pem.startswith("-----BEGIN CERTIFICATE-----\n")


class TestEnclaves:
    """
    Enclaves at each provider.
    """

    @pytest.fixture
    def call(self, attest, form):
        """
        Attest some evidence.
        """
        return functools.partial(attest, f"attest{form}Enclave")

    def test_binary(self, call, provider, evidence):
        """
        Data that the enclave holds comes back as the bytes that they are.
        """
        called = call(evidence, runTimeData=HELD)

        body = called.value["body"]
        assert HELD == body["enclaveHeldData"]
        assert "runTimeClaims" not in body
        assert (provider, "1.0") == (body["issuer"], body["version"])
        assert ("sgx", 64) == (body["verifierType"], len(body["uniqueId"]))
        assert body["isDebuggable"] is False
        quoted = hashlib.sha256(evidence).hexdigest()
        assert quoted == body["sgxCollateral"]["quotehash"]

    def test_validated(self, call, provider, evidence):
        """
        The client's own checks take the token, and a user's own see it and
        its signer.
        """
        called = call(evidence, runTimeData=HELD)

        token = called.value["token"]
        ((shown),) = called.shown
        assert token == shown["token"]
        assert ("RS256", "JWT") == (token["algorithm"], token["type"])
        assert f"{provider}/certs" == token["keyUrl"]
        assert token["keyId"] == shown["signer"]["keyId"]

    def test_json(self, call, evidence):
        """
        The same data as JSON are claims, and no bytes.
        """
        body = call(evidence, runTimeJson=HELD).value["body"]

        assert json.loads(HELD) == body["runTimeClaims"]
        assert "enclaveHeldData" not in body

    def test_draft(self, call, evidence):
        """
        By a draft of a policy it gets a token that nobody has signed.
        """
        found = call(
            evidence, runTimeJson=HELD, draftPolicyForAttestation=PERMIT
        ).value

        assert "none" == found["token"]["algorithm"]
        assert found["token"]["serialized"].endswith(".")
        assert PERMIT_HASH == to_url(found["body"]["policyHash"])
        assert json.loads(HELD) == found["body"]["runTimeClaims"]


class TestEvidence:
    """
    Whatever the provider.
    """

    @pytest.fixture
    def call(self, attest_shared, form):
        """
        Attest some evidence.
        """
        return functools.partial(attest_shared, f"attest{form}Enclave")

    def test_measurements(self, call, evidence):
        """
        What the quote says of the enclave is told.
        """
        body = call(evidence).value["body"]

        quote = evidence[16:] if evidence[:2] == b"\1\0" else evidence
        said = quote[48:432]
        assert said[64:96].hex() == body["mrEnclave"]
        assert said[128:160].hex() == body["mrSigner"]
        assert int.from_bytes(said[256:258], "little") == body["productId"]
        assert int.from_bytes(said[258:260], "little") == body["svn"]

    def test_problems(self, call, evidence):
        """
        What a user's own checks find wrong is not taken.
        """
        with pytest.raises(NodeError, match=r"^not by me$"):
            call(evidence, problems=["not by me"])

    def test_init_time(self, azure, call, form):
        """
        Data from when the enclave was made are bound by its configuration; as
        JSON they are claims.
        """
        made = azure.quote if form == "Sgx" else azure.report
        data = b'{"b": 1, "a": 2}'
        evidence = made(HELD, **azure.configured(data))
        body = call(evidence, initTimeData=data).value["body"]
        assert "initTimeClaims" not in body

        body = call(evidence, initTimeJson=data).value["body"]
        assert {"a": 2, "b": 1} == body["initTimeClaims"]

    def test_refused(self, call, evidence):
        """
        Wrong data, a draft that denies or makes no sense, and what is no
        evidence: each has its error.
        """
        with refused(400, "InvalidParameter"):
            call(evidence, runTimeData=b"x")
        with refused(400, "PolicyEvaluationError"):
            call(evidence, draftPolicyForAttestation=DENYING)
        with refused(400, "PolicyParsingError"):
            call(evidence, draftPolicyForAttestation=NO_POLICY)
        with pytest.raises(NodeError) as caught:
            call(b"\1" * 4000)
        assert 400 == caught.value.status


class TestTpm:
    def test_tpm(self, azure, node):
        """
        TPMs are not attested, and that is said.
        """
        with pytest.raises(NodeError, match="Tpm") as caught:
            node.call(
                "attestTpm",
                json.dumps({"payload": {"type": "aikcert"}}),
                endpoint=azure.shared,
                token=azure.token,
            )

        assert 400 == caught.value.status


class TestAad:
    @pytest.mark.parametrize("kind", TYPES)
    def test_set(self, node, aad, kind):
        """
        A policy that nobody has signed is taken, its hash told, and reset.
        """
        before = policy_of(aad, kind)
        body = aad("setPolicy", kind, PERMIT).value["body"]
        made = node.call("createAttestationPolicyToken", PERMIT)
        sent = made.value["serialized"]
        digest = hashlib.sha256(sent.encode()).digest()
        assert ("Updated", digest) == (
            body["policyResolution"],
            body["policyTokenHash"],
        )
        assert PERMIT == policy_of(aad, kind)

        body = aad("resetPolicy", kind).value["body"]
        assert "Removed" == body["policyResolution"]
        assert before == policy_of(aad, kind)

    @pytest.mark.parametrize("key", ["RSA", "P-256"])
    def test_signed(self, aad, key):
        """
        One that anybody has signed is taken, and the signer told.
        """
        signer = make_signer("anybody.example", key)
        body = aad("setPolicy", SGX, PERMIT, **signed_by(signer)).value["body"]

        signers = body["policySigner"]["certificates"]
        assert ("Updated", [signer.certificate]) == (
            body["policyResolution"],
            signers,
        )
        assert PERMIT == policy_of(aad, SGX)

    def test_in_force(self, azure, node, aad):
        """
        What is set is in force at once.
        """
        signer = make_signer("anybody.example")
        aad("setPolicy", SGX, PERMIT, **signed_by(signer))
        body = node.call(
            "attestSgxEnclave", azure.quote(), endpoint=azure.aad, check=True
        ).value["body"]

        assert PERMIT_HASH == to_url(body["policyHash"])
        assert [signer.certificate] == body["policySigner"]["certificates"]

    def test_malformed(self, aad):
        """
        What is no policy is refused.
        """
        with refused(400, "PolicyParsingError"):
            aad("setPolicy", SGX, NO_POLICY)

    def test_no_certificates(self, aad):
        """
        It has no certificates.
        """
        assert [] == certificates(aad)


class TestShared:
    def test_read(self, azure, administrate):
        """
        The usual policies are read.
        """
        call = functools.partial(administrate, endpoint=azure.shared)
        policy = policy_of(call, SGX)

        digest = hashlib.sha256(to_url(policy.encode()).encode()).digest()
        assert DEFAULT_HASH == to_url(digest)
        assert policy == policy_of(call, OPEN)
        assert [] == certificates(call)

    def test_unchangeable(self, azure, administrate):
        """
        Nobody changes them.
        """
        call = functools.partial(administrate, endpoint=azure.shared)
        with refused(401, "Unauthorized"):
            call("setPolicy", SGX, PERMIT)
        with refused(401, "Unauthorized"):
            call("resetPolicy", SGX)

    def test_token(self, azure, node):
        """
        Nor does anybody read them with a token that is not ours.
        """
        with refused(401, "Unauthorized"):
            node.call(
                "getPolicy",
                SGX,
                client=ADMIN,
                endpoint=azure.shared,
                token="nobody's",
            )


class TestIsolated:
    def test_set(self, azure, isolated):
        """
        What the owner has signed is taken, and reset.
        """
        owner = signed_by(azure.owner)
        body = isolated("setPolicy", SGX, PERMIT, **owner).value["body"]
        signers = body["policySigner"]["certificates"]
        assert ("Updated", [azure.owner.certificate]) == (
            body["policyResolution"],
            signers,
        )
        assert PERMIT == policy_of(isolated, SGX)

        body = isolated("resetPolicy", SGX, **owner).value["body"]
        assert "Removed" == body["policyResolution"]

    @pytest.mark.parametrize("key", [None, "RSA", "P-256"])
    def test_others(self, isolated, key):
        """
        What nobody or somebody else has signed is not.
        """
        options = {}
        if key is not None:
            options = signed_by(make_signer("stranger.example", key))
        with refused(400, "InvalidOperation"):
            isolated("setPolicy", SGX, PERMIT, **options)
        with refused(400, "InvalidOperation"):
            isolated("resetPolicy", SGX, **options)

    @pytest.mark.parametrize("key", ["RSA", "P-256"])
    def test_certificates(self, azure, isolated, key):
        """
        Another certificate is added and removed, as often as it is sent; in
        between its key signs.
        """
        other = make_signer("another.example", key)
        owner = (azure.owner.key, azure.owner.certificate)
        assert [azure.owner.certificate] == certificates(isolated)
        for change, resolution in (
            ("add", "IsPresent"),
            ("remove", "IsAbsent"),
        ):
            for _ in range(2):
                body = isolated(
                    f"{change}PolicyManagementCertificate",
                    other.certificate,
                    *owner,
                ).value["body"]
                assert other.thumbprint == body["certificateThumbprint"]
                assert resolution == body["certificateResolution"]
            if change == "add":
                both = {azure.owner.certificate, other.certificate}
                assert both == set(certificates(isolated))
                isolated("setPolicy", SGX, PERMIT, **signed_by(other))

        assert [azure.owner.certificate] == certificates(isolated)
        assert PERMIT == policy_of(isolated, SGX)

    def test_last(self, azure, isolated):
        """
        The last one stays.
        """
        owner = (azure.owner.key, azure.owner.certificate)
        pem = azure.owner.certificate
        with refused(400, "InvalidOperation"):
            isolated("removePolicyManagementCertificate", pem, *owner)
