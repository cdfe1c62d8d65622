"""
Bad input: each has its documented error code, is on record, and gets no token.
"""

import pytest

from tests.http.attested_world import attesting, take
from tests.http.attesting import (
    ACME,
    b64,
    detail_in,
    error_in,
    held,
    message_in,
    oe_report,
)
from tests.http.test_attest_baseline import OURS, choosing
from tests.policy_signers import DENY
from tests.vendors import DAY, NOW
from thim.baseline.provider import ExpiredRule
from thim.intel.pck_chain import read_pck
from thim.intel.quote import Quote
from thim.simulate.pck import Platform
from thim.simulate.pki import Intel
from thim.simulate.quote import make_sgx_quote_v3, make_tdx_quote_v4


INVALID = "The specified quote was invalid"
OF_COLLATERAL = f"{INVALID} due to an error in the quote collateral"
OF_DOCUMENTS = (
    f"{INVALID} because the TCBInfo or QEID provided by the PCK Cache Service "
    "was invalid"
)
OF_TCB = (
    f"{INVALID} because the device on which the quote was generated does not "
    "meet the Azure baseline requirements"
)
#: Where parts of a quote of version 3 begin: its header's fields, the report
#: body's, and the signature.
VERSION, KEY_TYPE, TEE, BODY, SIGNATURE = 0, 2, 4, 48, 436


def changed(quote, at, by=1):
    """
    Change one byte.
    """
    found = bytearray(quote)
    found[at] ^= by
    return bytes(found)


@pytest.fixture
def refused(attester):
    """
    Have evidence refused: status, code, reason and the one record of it.
    """

    def check(got, kind="SgxEnclave", tenant="root"):
        assert "token" not in got.json
        status, code, reason = error_in(got)
        attester.await_decisions(1, refused=True)
        (record,) = attester.decisions(refused=True)
        assert f"refused: {reason}" == record.result
        assert (kind, tenant, "") == (record.type, record.tenant, record.kid)
        return status, code, reason

    return check


class TestForged:
    @pytest.mark.parametrize(
        ("at", "reason"),
        [
            (BODY + 64, "quote-signature"),
            (SIGNATURE, "quote-signature"),
            (SIGNATURE + 64, "attestation-key-binding"),
            (SIGNATURE + 128 + 100, "qe-report-signature"),
        ],
    )
    def test_mutated(self, attester, refused, at, reason):
        """
        A quote in which a byte was changed is refused, by the step that does
        not hold.
        """
        got = attester.sgx(changed(attester.quote(), at))

        status, code, found = refused(got)
        assert (400, "InvalidQuote") == (status, code)
        assert reason == found
        assert INVALID == message_in(got)

    @pytest.mark.parametrize("size", [0, 1, 47, 48, 432, 436, 1000, -1])
    def test_truncated(self, attester, refused, size):
        """
        A quote that ends early is none.
        """
        got = attester.sgx(attester.quote()[:size])

        expected = "InvalidQuote" if size else "InvalidParameter"
        assert (400, expected) == refused(got)[:2]

    def test_longer(self, attester, refused):
        """
        Nor is one with something behind it.
        """
        got = attester.sgx(attester.quote() + b"x" * 100)

        assert (400, "InvalidQuote") == refused(got)[:2]

    @pytest.mark.parametrize(
        ("at", "by"), [(VERSION, 4), (VERSION, 1), (KEY_TYPE, 1), (TEE, 2)]
    )
    def test_unsupported(self, attester, refused, at, by):
        """
        Versions, keys and TEEs that are not supported are named.
        """
        got = attester.sgx(changed(attester.quote(), at, by))

        assert (400, "InvalidQuote") == refused(got)[:2]

    def test_header_of_oe(self, attester, refused):
        """
        Open Enclave's header has to fit what follows.
        """
        report = changed(oe_report(attester.quote()), 8)
        got = attester.post("OpenEnclave", {"report": b64(report)})

        assert (400, "InvalidQuote") == refused(got, "OpenEnclave")[:2]


class TestChain:
    @pytest.mark.parametrize("make", [make_sgx_quote_v3, make_tdx_quote_v4])
    def test_foreign_root(self, attester, refused, make):
        """
        A quote by a machine of somebody else's Intel is refused, though all
        of its signatures hold.
        """
        kind = "TdxVm" if make is make_tdx_quote_v4 else "SgxEnclave"
        quote = make(Intel("stranger"), Platform())
        got = attester.post(kind, {"quote": b64(quote)})

        status, code, reason = refused(got, kind)
        assert (400, "InvalidParameter", "root-untrusted") == (
            status,
            code,
            reason,
        )
        assert OF_COLLATERAL == message_in(got)

    def test_revoked(self, attester, refused):
        """
        A machine whose certificate is revoked is refused, from the moment on
        at which the list comes in.
        """
        quote = attester.quote()
        assert 200 == attester.sgx(quote, prefix="/tenant/lab").status
        chain = Quote(quote).certification_data
        crl = attester.vendor.intel.pki.pck_crl(
            issued=NOW, revoked=[read_pck(chain).serial_number]
        )
        take(attester.vendor, attester.store, [crl])
        got = attester.sgx(quote)

        assert (400, "InvalidParameter", "pck-revoked") == refused(got)
        assert OF_COLLATERAL == message_in(got)

    def test_expired(self, attested_world, tmp_path):
        """
        One whose certificate has ended is refused even where everything that
        has ended is accepted of others.
        """
        later = NOW + 8 * 365 * DAY
        quote = attested_world.vendor.quote("ice-1", "sgx-v3")
        with attesting(attested_world, tmp_path, later) as attester:
            attester.define("acme", expired=ExpiredRule.ACCEPT)
            got = attester.sgx(quote, ACME)
            (record,) = attester.await_decisions(1)

        assert (400, "InvalidParameter", "certificate-dates") == error_in(got)
        assert "refused: certificate-dates" == record.result


class TestKind:
    def test_elsewhere(self, attester, refused):
        """
        Evidence of another kind is refused, and the answer says where it
        belongs.
        """
        quote = attester.quote("sapphire-1", "tdx-v4")
        got = attester.sgx(quote)

        assert (400, "InvalidQuote", "other-evidence") == refused(got)
        assert "/attest/TdxVm" in detail_in(got)

    def test_enclave_as_domain(self, attester, refused):
        """
        An enclave is no trust domain.
        """
        got = attester.tdx(attester.quote())

        assert (400, "InvalidQuote", "other-evidence") == (
            refused(got, "TdxVm")
        )


class TestTcb:
    def test_below(self, attester, refused):
        """
        A platform that is below the baseline is refused in Azure's words, and
        ours say what is short and by how much.
        """
        got = attester.sgx(attester.quote("ice-2"))

        assert (400, "InvalidParameter", "component-behind") == refused(got)
        assert OF_TCB == message_in(got)
        for word in ("OutOfDate", "18", "is 14, needed is 16", "INTEL-SA-0"):
            assert word in detail_in(got)

    def test_unknown_fmspc(self, attester, refused):
        """
        A platform of which the chosen number knows nothing is refused.
        """
        got = attester.sgx(attester.quote("granite-1"))

        assert (400, "InvalidParameter", "unknown-document") == refused(got)
        assert OF_DOCUMENTS == message_in(got)
        assert "00A06D080000" in detail_in(got)

    def test_forged_first(self, attester, refused):
        """
        What is forged is refused as that where there is no collateral either.
        """
        quote = changed(attester.quote("granite-1"), BODY + 64)
        got = attester.sgx(quote)

        assert (400, "InvalidQuote") == refused(got)[:2]


class TestBody:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"{",
            b"null",
            b'{"quote": "AAAA", "quote": "AAAA"}',
            b"\xff",
            {},
            {"quote": None},
            {"quote": ""},
            {"quote": 7},
            {"report": "AAAA"},
            {"quote": "AAAA", "runtimeData": "AAAA"},
            {"quote": "AAAA", "runtimeData": {"data": 1}},
            {"quote": "AAAA", "runtimeData": {"data": "AAAA", "dataType": "X"}},
            {"quote": "AAAA", "nonce": "\ud800"},
        ],
    )
    def test_members(self, attester, refused, body):
        """
        What cannot be read is refused, and says which member.
        """
        got = attester.post("SgxEnclave", body)

        assert (400, "InvalidParameter", "submission") == refused(got)

    @pytest.mark.parametrize("text", ["a!", "a b", "é", "A", "AA==="])
    def test_base64(self, attester, refused, text):
        """
        So is what is no base64.
        """
        got = attester.post("SgxEnclave", {"quote": text})

        assert (400, "InvalidOperation", "submission") == refused(got)

    def test_oversized(self, attester, refused):
        """
        A body over the limit is refused before it is read.
        """
        got = attester.post("SgxEnclave", b" " * (1024 * 1024 + 1))

        assert (413, "RequestEntityTooLarge", "body-too-large") == refused(got)

    @pytest.mark.parametrize(
        ("member", "size"), [("runtimeData", 64), ("initTimeData", 256)]
    )
    def test_large_data(self, attester, refused, member, size):
        """
        So are data over theirs.
        """
        sent = held(b"x" * (size * 1024 + 1))
        got = attester.sgx(**{member: sent})

        assert (400, "InvalidParameter", "submission") == refused(got)

    def test_other_type(self, attester, refused):
        """
        What is not sent as JSON is refused.
        """
        body = {"quote": b64(attester.quote())}
        got = attester.post("SgxEnclave", body, Content_Type="text/xml")

        assert got.status in {400, 415}
        refused(got)

    def test_deep(self, attester, refused):
        """
        So is what nests without end.
        """
        body = b'{"quote":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        got = attester.post("SgxEnclave", body)

        assert (400, "InvalidParameter", "submission") == refused(got)


class TestPolicy:
    def test_denied(self, attester, refused):
        """
        What a policy denies is on record with that policy, and the digest of
        what was sent.
        """
        attester.set_policy(DENY)
        got = attester.sgx(prefix=ACME)

        assert (400, "PolicyEvaluationError", "policy") == (
            refused(got, tenant="acme")
        )
        (record,) = attester.decisions()
        assert 32 == len(record.evidence_sha256)
        assert 43 == len(record.policy_hash)
        assert "18" == record.baseline
        assert not record.is_draft

    def test_draft(self, attester, refused):
        """
        A draft's is a draft's.
        """
        got = attester.sgx(draftPolicyForAttestation=DENY)

        assert (400, "PolicyEvaluationError", "policy") == refused(got)
        (record,) = attester.decisions()
        assert record.is_draft

    def test_unbound(self, attester, refused):
        """
        Data that the evidence does not speak for are refused.
        """
        got = attester.sgx(runtimeData=held(b"x"))

        assert (400, "InvalidParameter", "runtime-data") == refused(got)

    def test_ended(self, attester, refused):
        """
        So is what has ended for good.
        """
        attester.define("acme", expired=ExpiredRule.REFUSE)
        attester.set_policy(choosing(OURS, "17"))
        got = attester.sgx(prefix=ACME)

        assert (400, "InvalidParameter", "expired") == (
            refused(got, tenant="acme")
        )
        (record,) = attester.decisions()
        assert "17" == record.baseline
