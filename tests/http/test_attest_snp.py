"""
Reports of SEV-SNP guests become tokens: with the key that was sent along, or
with what the store holds.
"""

import hashlib

import pytest

from tests.attestation.snp_made import make_submission
from tests.http.attested_world import KNOWN
from tests.http.attesting import (
    URL,
    b64,
    detail_in,
    error_in,
    held,
    message_in,
)
from tests.http.snp_sending import chain_of, sender
from tests.made_amd import AMD as STRANGER
from tests.made_amd import vcek as strange_vcek
from thim.amd.tcb import ProductLine
from thim.simulate.amd_pki import to_pem
from thim.simulate.amd_profile import Role


DATA = b'{"b": 1, "a": "x"}'
DIGEST = hashlib.sha256(DATA).digest()
SNP_DEFAULT = "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco"
OF_COLLATERAL = (
    "The specified quote was invalid due to an error in the quote collateral"
)


@pytest.fixture
def snp(attested):
    """
    Have a report of milan-1 attested, with its key.
    """
    return sender(attested)


class TestToken:
    def test_claims(self, attested, snp):
        """
        What the report says is in the token.
        """
        got = snp(measurement=b"\7" * 48, vmpl=2, host_data=b"\3" * 32)
        claims = attested.claims(got)

        assert "sevsnpvm" == claims["x-ms-attestation-type"]
        assert "07" * 48 == claims["x-ms-sevsnpvm-launchmeasurement"]
        assert "03" * 32 == claims["x-ms-sevsnpvm-hostdata"]
        assert 2 == claims["x-ms-sevsnpvm-vmpl"]
        assert (4, 0, 24, 219) == tuple(
            claims[f"x-ms-sevsnpvm-{name}-svn"]
            for name in ("bootloader", "tee", "snpfw", "microcode")
        )
        assert SNP_DEFAULT == claims["x-ms-policy-hash"]
        assert URL == claims["iss"]

    def test_ours(self, attested, snp):
        """
        Ours say by what key, list and baseline.
        """
        claims = attested.claims(snp())

        assert "default" == claims["x-thim-baseline"]
        assert "vcek" == claims["x-thim-signing-key"].lower()
        assert "checked" == claims["x-thim-revocation"]
        assert 3 == len(claims["x-thim-documents"])
        assert "x-thim-evaluation-number" not in claims
        assert "x-ms-compliance-status" not in claims

    def test_recorded(self, attester):
        """
        The record has the digest of what was sent.
        """
        claims = attester.claims(sender(attester)())

        (record,) = attester.decisions()
        assert claims["jti"] == record.jti
        assert claims["x-thim-documents"] == record.documents
        assert ("SevSnpVm", "default") == (record.type, record.baseline)

    @pytest.mark.parametrize(
        ("chip", "product"), [("genoa-1", "Genoa"), ("turin-1", "Turin")]
    )
    def test_products(self, attested, chip, product):
        """
        Other product lines too.
        """
        report = attested.vendor.report(chip)
        evidence = make_submission(report, chain_of(attested, chip))
        got = attested.post("sevsnpvm", {"report": b64(evidence)})

        assert product == attested.claims(got)["x-thim-product"]

    @pytest.mark.parametrize("version", ["2020-10-01", "2022-08-01"])
    def test_versions(self, attested, version):
        """
        Clients ask in older versions of the API.
        """
        evidence = make_submission(
            attested.vendor.report("milan-1"), chain_of(attested)
        )
        body = {"report": b64(evidence)}

        assert 200 == attested.post("SevSnpVm", body, version=version).status

    def test_data(self, attested, snp):
        """
        Runtime data are bound by the report data, init-time data by the host
        data; a nonce is repeated.
        """
        got = snp(
            report_data=DIGEST.ljust(64, b"\1"),
            host_data=DIGEST,
            members={
                "runtimeData": held(DATA, "JSON"),
                "initTimeData": held(DATA, "JSON"),
                "nonce": "noncesevsnp987",
            },
        )

        claims = attested.claims(got)
        assert ["a", "b"] == list(claims["x-ms-runtime"])
        assert ["a", "b"] == list(claims["x-ms-inittime"])
        assert "noncesevsnp987" == claims["nonce"]

    @pytest.mark.parametrize("member", ["runtimeData", "initTimeData"])
    def test_unbound(self, snp, member):
        """
        Data that the report does not speak for are refused.
        """
        got = snp(members={member: held(DATA)})

        reason = member.replace("Data", "-data").replace("Time", "-time")
        assert (400, "InvalidParameter", reason) == error_in(got)

    def test_draft(self, snp):
        """
        Guests take drafts.
        """
        draft = "version=1.0; authorizationrules{=> deny();};"
        got = snp(members={"draftPolicyForAttestation": draft})

        assert (400, "PolicyEvaluationError", "policy") == error_in(got)


class TestHcl:
    def test_claims(self, attested):
        """
        A confidential VM's report brings its runtime claims along.
        """
        report = attested.vendor.hcl_report(KNOWN, user_data=b"\5" * 64)
        got = attested.post("SevSnpVm", {"report": b64(report)})

        runtime = attested.claims(got)["x-ms-runtime"]
        assert "05" * 64 == runtime["user-data"]
        assert ["HCLAkPub", "HCLEkPub"] == [k["kid"] for k in runtime["keys"]]

    @pytest.mark.parametrize(
        "claims",
        [
            b"[]",
            b"{",
            b'{"a": "\\ud800"}',
            b'{"a": 123456789012345678901234567890}',
            b'{"a": 1, "a": 2}',
            b'{"a": 1e999}',
        ],
    )
    def test_strange(self, attested, claims):
        """
        Claims that cannot stand in a token are refused.
        """
        report = attested.vendor.hcl_report(KNOWN, claims=claims)
        got = attested.post("SevSnpVm", {"report": b64(report)})

        assert (400, "InvalidQuote", "runtime-data") == error_in(got)


class TestKey:
    def test_known(self, attested):
        """
        Where the store has the key none need be sent.
        """
        report = attested.vendor.report(KNOWN)
        got = attested.post("SevSnpVm", {"report": b64(report)})

        assert "Milan" == attested.claims(got)["x-thim-product"]

    def test_not_sent(self, attested):
        """
        A report whose key is neither sent nor known is refused.
        """
        report = attested.vendor.report("milan-1")
        got = attested.post("SevSnpVm", {"report": b64(report)})

        assert (400, "InvalidParameter", "unknown-vcek") == error_in(got)
        assert OF_COLLATERAL == message_in(got)

    def test_other_chip(self, attested, snp):
        """
        Another chip's key does not do.
        """
        got = snp(chain=chain_of(attested, KNOWN))

        assert 400 == got.status
        assert "mismatch" in error_in(got)[2]

    def test_other_root(self, snp):
        """
        Nor does one of somebody who calls himself AMD.
        """
        pem = to_pem(strange_vcek())
        chain = pem + STRANGER.chain(ProductLine.MILAN, Role.ASK)
        got = snp(chain=chain)

        assert (400, "InvalidParameter") == error_in(got)[:2]
        assert OF_COLLATERAL == message_in(got)

    @pytest.mark.parametrize("chain", [b"x", b"-----BEGIN CERTIFICATE-----\n"])
    def test_no_chain(self, snp, chain):
        """
        What is no chain is refused.
        """
        got = snp(chain=chain)

        assert (400, "InvalidQuote") == error_in(got)[:2]
        assert "VcekCertChain" in detail_in(got)

    def test_forged(self, attested):
        """
        A changed report is refused.
        """
        report = bytearray(attested.vendor.report("milan-1"))
        report[0x90] ^= 1
        evidence = make_submission(bytes(report), chain_of(attested))
        got = attested.post("SevSnpVm", {"report": b64(evidence)})

        assert (400, "InvalidQuote", "report-signature") == error_in(got)

    @pytest.mark.parametrize(
        "evidence",
        [b"", b"x" * 1184, b"{}", b'{"SnpReport":"AAAA"}', b"[]", b"HCLA"],
    )
    def test_no_report(self, attested, evidence):
        """
        What is no report at all is refused.
        """
        got = attested.post("SevSnpVm", {"report": b64(evidence)})

        assert 400 == got.status
        assert error_in(got)[1] in {"InvalidQuote", "InvalidParameter"}

    def test_quote(self, attested):
        """
        A quote belongs elsewhere, and the answer says where.
        """
        got = attested.post("SevSnpVm", {"report": b64(attested.quote())})

        assert (400, "InvalidQuote", "other-evidence") == error_in(got)
