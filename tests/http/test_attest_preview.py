"""
Evidence by the API of 2018, as old clients send it.
"""

import hashlib

import pytest

from tests.attestation.snp_made import make_submission
from tests.http.attesting import (
    ACME,
    OLD,
    URL,
    b64,
    error_in,
    held,
    oe_report,
)
from tests.http.snp_sending import chain_of
from tests.policy_signers import DENY, PERMIT


DATA = b"what an enclave holds"
BOUND = hashlib.sha256(DATA).digest().ljust(64, b"\0")


@pytest.fixture
def send(attested):
    """
    Send something with a token.
    """
    return posting(attested)


def posting(attested):
    """
    Send something to a service with a token.
    """

    def go(path, body, prefix="", token=None):
        return attested.post(
            "",
            body,
            version=OLD,
            path=f"{prefix}/attest/{path}",
            Authorization=f"Bearer {token or attested.token}",
        )

    return go


PATHS = ("SgxEnclave", "Tee/SgxEnclave", "Tee/OpenEnclave")


class TestEnclaves:
    @pytest.mark.parametrize("path", PATHS)
    def test_claims(self, attested, send, path):
        """
        The answer is a JSON string; no claim has a newer name, and the digest
        of the policy is in hexadecimal digits.
        """
        quote = attested.quote(report_data=BOUND)
        sent = oe_report(quote) if "Open" in path else quote
        got = send(path, {"Quote": b64(sent), "EnclaveHeldData": b64(DATA)})

        assert 200 == got.status, got.body
        claims = attested.verify(got.json)
        assert not [
            name for name in claims if name.startswith(("x-ms-", "aas-"))
        ]
        assert URL == claims["iss"]
        assert b64(DATA) == claims["maa-ehd"]
        assert 64 == len(bytes.fromhex(claims["maa-policyHash"])) * 2
        digest = hashlib.sha256(sent).hexdigest()
        assert digest == claims["maa-attestationcollateral"]["maa-quotehash"]

    def test_policy_hash(self, attester):
        """
        It is that of the text.
        """
        attester.set_policy(PERMIT)
        body = {"Quote": b64(attester.quote())}
        got = posting(attester)("SgxEnclave", body, ACME)

        claims = attester.verify(got.json, ACME)
        digest = hashlib.sha256(PERMIT.encode()).hexdigest()
        assert digest == claims["maa-policyHash"]

    def test_denied(self, attester):
        """
        The same policy decides as in the new API.
        """
        attester.set_policy(DENY)
        body = {"Quote": b64(attester.quote())}
        got = posting(attester)("SgxEnclave", body, ACME)

        assert (400, "PolicyEvaluationError", "policy") == error_in(got)

    def test_without_data(self, attested, send):
        """
        Held data may be left out.
        """
        body = {"Quote": b64(attested.quote()), "EnclaveHeldData": None}
        claims = attested.verify(send("SgxEnclave", body).json)

        assert "maa-ehd" not in claims

    def test_unbound(self, attested, send):
        """
        Data that the evidence does not speak for are refused.
        """
        body = {"Quote": b64(attested.quote()), "EnclaveHeldData": b64(DATA)}

        assert (400, "InvalidParameter", "runtime-data") == (
            error_in(send("SgxEnclave", body))
        )

    @pytest.mark.parametrize("body", [{}, {"quote": "AAAA"}, {"Quote": "!"}])
    def test_members(self, send, body):
        """
        Members have the names of that API.
        """
        got = send("SgxEnclave", body)

        assert 400 == got.status
        assert "Quote" in got.json["error"]["innererror"]["message"]


class TestGuests:
    def test_snp(self, attested, send):
        """
        Reports are sent as in later versions.
        """
        report = attested.vendor.report(
            "milan-1", report_data=hashlib.sha256(DATA).digest().ljust(64)
        )
        evidence = make_submission(report, chain_of(attested))
        body = {"report": b64(evidence), "runtimeData": held(DATA)}
        got = send("Tee/SevSnpVm", body)

        assert 200 == got.status, got.body
        assert attested.verify(got.json)["iss"] == URL

    @pytest.mark.parametrize("kind", ["AzureGuest", "Tpm"])
    def test_not_attested(self, send, kind):
        """
        What is not attested in later versions is not in this one.
        """
        got = send(f"Tee/{kind}", {})

        assert (400, "InvalidOperation", "not-attested") == error_in(got)


class TestBearer:
    def test_none(self, attested):
        """
        Unlike later versions it needs a token.
        """
        body = {"Quote": b64(attested.quote())}
        got = attested.post("SgxEnclave", body, version=OLD)

        assert (401, "Unauthorized") == error_in(got)[:2]
        assert got["www-authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("token", ["x", "a.b", "a.b.c", "e30.e30."])
    def test_wrong(self, attested, send, token):
        """
        One that counts.
        """
        body = {"Quote": b64(attested.quote())}

        assert 401 == send("SgxEnclave", body, token=token).status
