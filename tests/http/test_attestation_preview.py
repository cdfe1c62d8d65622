"""
Management by the API of 2018.
"""

import hashlib

import pytest

from tests.http.attestation_serving import (
    Provider,
    V,
    define,
    serving_providers,
)
from tests.http.test_attestation_admin import refusal, said
from tests.policy_signers import (
    DENY,
    PERMIT,
    certificate,
    signed,
    signer,
    unsigned,
)
from thim.baseline.provider import TrustModel


OLD = "api-version=2018-09-01-preview"
CURRENT = f"/operations/policy/current?{OLD}&tee=SgxEnclave"
PREPARE = f"/operations/policy/updatepolicy?{OLD}&tee=SgxEnclave"
CERTIFICATES = f"/operations/policy/certificates?{OLD}"
EMPTY = b"eyJhbGciOiJub25lIn0.."
RAW = {"AttestationPolicy": PERMIT}


@pytest.fixture
def acme(intel, tmp_path):
    """
    A provider.
    """
    with serving_providers(intel, tmp_path) as api:
        yield Provider(api, "acme")


def ask(provider, path, method="GET", body=None, who="acme/operator"):
    """
    Ask for a token, which is a JSON string there.
    """
    got = provider.ask(path, who, method=method, body=body)
    assert 200 == got.status, got.body
    return provider.read(got.json)


class TestPolicy:
    def test_set(self, acme):
        """
        A policy stands in its token as it is, and claims have the old names.
        """
        raw = unsigned(RAW)
        claims = ask(acme, CURRENT, "PUT", raw)

        assert "Updated" == claims["maa-policy-result"]
        assert not [name for name in claims if name.startswith("x-ms-")]
        got = acme.ask(CURRENT)
        assert {"policy": raw.decode()} == got.json

    def test_prepared(self, acme):
        """
        A policy is prepared first, and the token about it is put then.
        """
        raw = unsigned(RAW)
        got = acme.ask(PREPARE, method="POST", body=raw)
        claims = acme.read(got.json)

        digest = hashlib.sha256(raw).hexdigest()
        assert digest == claims["maa-policyHash"]
        ask(acme, CURRENT, "PUT", got.body)
        assert {"policy": raw.decode()} == acme.ask(CURRENT).json

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_reset(self, acme, method):
        """
        It is reset by posting a token without a body, or deleted by one.
        """
        before = acme.ask(CURRENT).json
        ask(acme, CURRENT, "PUT", unsigned(RAW))
        assert before != acme.ask(CURRENT).json

        claims = ask(acme, CURRENT, method, EMPTY)
        assert "Removed" == claims["maa-policy-result"]
        assert before == acme.ask(CURRENT).json

    def test_read_by_both(self, acme):
        """
        What is set by one API is in force for the other.
        """
        ask(acme, CURRENT, "PUT", unsigned(RAW))

        assert unsigned(RAW).decode() == acme.policy()

    @pytest.mark.parametrize("query", [OLD, f"{OLD}&tee=Sgx", f"{OLD}&tee="])
    def test_type(self, acme, query):
        """
        The type of attestation is named by a parameter.
        """
        got = acme.ask(f"/operations/policy/current?{query}")

        assert got.status in {400, 404}

    def test_version(self, acme):
        """
        These paths are of that version alone.
        """
        got = acme.ask(f"/operations/policy/current?{V}&tee=SgxEnclave")

        assert (400, "UnsupportedApiVersionValue") == refusal(got)
        assert "2018-09-01-preview" in said(got)

    def test_needs_token(self, acme):
        """
        They need a token.
        """
        got = acme.ask(CURRENT, None)

        assert (401, "Unauthorized") == refusal(got)

    @pytest.mark.parametrize("body", [b"a.b", b"a", b"", b'{"a":1}', b"1.2.3"])
    @pytest.mark.parametrize("path", [CURRENT, PREPARE])
    def test_refused(self, acme, path, body):
        """
        What is no token is refused.
        """
        method = "PUT" if path == CURRENT else "POST"
        got = acme.ask(path, method=method, body=body)

        assert (400, "InvalidOperation") == refusal(got)


class TestIsolated:
    @pytest.fixture(autouse=True)
    def isolated(self, acme, intel):
        """
        The provider is isolated.
        """
        trust = TrustModel.ISOLATED
        define(acme.api.store, intel, "acme", signer().der, trust=trust)

    def test_wrapped(self, acme):
        """
        What is wrapped has to be signed like anything else.
        """
        got = acme.ask(PREPARE, method="POST", body=unsigned(RAW))
        got = acme.ask(CURRENT, method="PUT", body=got.body)

        assert (400, "InvalidOperation") == refusal(got)
        raw = signed({"AttestationPolicy": DENY}, signer())
        got = acme.ask(PREPARE, method="POST", body=raw)
        ask(acme, CURRENT, "PUT", got.body)
        assert {"policy": raw.decode()} == acme.ask(CURRENT).json

    def test_certificates(self, acme):
        """
        Certificates are put, posted to be removed, and listed.
        """
        bob = signer("bob")
        raw = signed(certificate(bob, "maa-policyCertificate"), signer())
        claims = ask(acme, CERTIFICATES, "PUT", raw)
        assert "IsPresent" == claims["maa-policycertificates-result"]
        keys = ask(acme, CERTIFICATES)["maa-policyCertificates"]["keys"]
        assert [signer().x5c, bob.x5c] == [key["x5c"] for key in keys]

        claims = ask(acme, CERTIFICATES, "POST", raw)
        assert "IsAbsent" == claims["maa-policycertificates-result"]
