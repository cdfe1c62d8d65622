"""
SEV-SNP guests that Azure's service gave tokens to, with the tokens.

Whole claim sets are compared.  Besides ours, whose names begin with
``x-thim-``, the sets differ in what belongs to the token and not to the guest:
``exp``, ``iat``, ``nbf``, ``iss``, ``jti``, ``x-ms-ver`` and
``x-ms-policy-hash`` are not made here.
"""

import base64
import contextlib
import datetime
import hashlib
import json

import pytest

from tests.attestation.snp_made import make_submission
from tests.new_store import new_store
from thim.amd.report import Report
from thim.amd.tcb import ProductLine
from thim.attestation.compliance import Vouched, find_compliance
from thim.attestation.held_data import HeldData
from thim.attestation.kind import AttestationType
from thim.attestation.maa_snp_claims import (
    list_maa_snp_claims,
    list_report_claims,
    read_hcl_runtime,
)
from thim.attestation.snp_appraisal import SnpBlame, appraise_snp
from thim.attestation.snp_binding import check_snp_binding
from thim.attestation.snp_submission import read_snp_submission
from thim.attestation.submission import Submission
from thim.attestation.uvm import verify_uvm_endorsement
from thim.baseline.model import DEFAULT
from thim.baseline.provider import Compliance, ExpiredRule, Provider
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import MalformedError, ThimError
from thim.services.snp_verification import verify_submission
from thim.store.endorsement_view import EndorsementView
from thim.store.replica import Replica


#: When the token of 2025 was made.
ISSUED = datetime.datetime.fromtimestamp(1744085700, datetime.UTC)
#: In the week in which the UVM endorsement of 2023 was signed.
THEN = datetime.datetime(2023, 2, 1, tzinfo=datetime.UTC)
OF_THE_TOKEN = {
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "x-ms-policy-hash",
    "x-ms-ver",
}
UVM_ISSUER = (
    "did:x509:0:sha256:mxiU8iPZNMvWV1rzxuH2CWuSIafaEyGF9aXNySI1tdw"
    "::subject:CN:ContainerPlat"
)
UVM_FEED = "ContainerPlat-AMD-UVM"
#: The digest of the claims in Azure's documented token for this guest, without
#: those of the token: JSON as Python writes it, with sorted keys.
DOCUMENTED = "cab96e0e4cd2f3397b333eddb180b1c19e8bbed68dc93b8407b9fadb2838812c"


def sent(runtime):
    """
    Make what is sent along with runtime data.
    """
    return Submission(
        type=AttestationType.SEV_SNP_VM,
        evidence=b"",
        runtime=HeldData(data=runtime, is_json=False),
    )


def read(corpus, name, file):
    """
    Return a file of an attestation.
    """
    return (corpus / "attestation" / name / file).read_bytes()


def submission(corpus, name, *uvm, report=None):
    """
    Put together what the guest sent.
    """
    return make_submission(
        report or read(corpus, name, "report.bin"),
        read(corpus, name, "vcek_chain.pem"),
        *uvm,
    )


def token_claims(text):
    """
    Return what a token says.
    """
    payload = text.split(b".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + b"=="))


@pytest.fixture
def verify(tmp_path):
    """
    Verify what was sent by a store that holds nothing.
    """
    path = tmp_path / "thim.db"
    new_store(path, VENDOR_ROOTS)
    with contextlib.closing(Replica(path)) as replica:
        keys = EndorsementView(replica)

        def go(raw, now):
            sent = read_snp_submission(raw)
            return verify_submission(replica, keys, sent, now, VENDOR_ROOTS)

        yield go


def claims_of(verified):
    """
    Return what an authentic report says.
    """
    assert verified.verdict.claims is not None
    return verified.verdict.claims


@pytest.fixture
def verify_by_all(corpus_store):
    """
    Verify what was sent by a store that holds the whole corpus.
    """
    with contextlib.closing(Replica(corpus_store)) as replica:
        keys = EndorsementView(replica)

        def go(raw, now):
            sent = read_snp_submission(raw)
            return verify_submission(replica, keys, sent, now, VENDOR_ROOTS)

        yield go


class TestToken:
    def test_2025(self, corpus, verify):
        """
        All claims of the guest of 2025 are those of its real token.
        """
        verified = verify(submission(corpus, "snp-2025"), ISSUED)
        token = token_claims(read(corpus, "snp-2025", "token.jwt"))

        found = list_maa_snp_claims(claims_of(verified))

        assert token.keys() >= OF_THE_TOKEN
        assert {
            name: value
            for name, value in token.items()
            if name not in OF_THE_TOKEN
        } == found

    def test_documented(self, corpus):
        """
        The claims of the guest of 2022, whose report is of a version that is
        not accepted, are those of the documented token, runtime claims and
        compliance status included.
        """
        raw = bytearray(read(corpus, "snp-cvm-2022", "report.bin"))
        raw[0] = 2
        report = Report.from_bytes(bytes(raw))
        runtime = read(corpus, "snp-cvm-2022", "runtime.json")

        check_snp_binding(report, sent(runtime))
        found = {
            "x-ms-attestation-type": "sevsnpvm",
            "x-ms-compliance-status": "azure-compliant-cvm",
            "x-ms-runtime": HeldData(data=runtime, is_json=True).value,
            **list_report_claims(
                report, report.decode_tcbs(ProductLine.MILAN).reported
            ),
        }

        text = json.dumps(found, sort_keys=True)
        assert DOCUMENTED == hashlib.sha256(text.encode()).hexdigest()

    def test_order(self, corpus):
        """
        The members of the runtime claims are in order at every depth.
        """
        runtime = read(corpus, "snp-cvm-2022", "runtime.json")

        found = HeldData(data=runtime, is_json=True).value

        assert found is not None
        assert ["e", "key_ops", "kid", "kty", "n"] == list(found["keys"][0])


class TestVersion1:
    def test_refused(self, corpus):
        """
        The report of 2022 is refused by its version, with its key and without.
        """
        bare = read(corpus, "snp-cvm-2022", "report.bin")

        for raw in (submission(corpus, "snp-cvm-2022"), bare):
            with pytest.raises(MalformedError, match="has version 1") as e:
                read_snp_submission(raw)

            assert "report-version" == e.value.reason

    def test_no_other_version(self, corpus, verify):
        """
        Its version is signed.
        """
        raw = bytearray(read(corpus, "snp-cvm-2022", "report.bin"))
        raw[0] = 2

        found = verify(
            submission(corpus, "snp-cvm-2022", report=bytes(raw)), ISSUED
        )

        assert "report-signature" in {f.reason for f in found.verdict.findings}


class TestUvm:
    def test_endorsed(self, corpus, verify):
        """
        The guest of 2023 is endorsed by Microsoft, and has the status that the
        operator's list gives for that.
        """
        message = read(corpus, "snp-uvm-2023", "uvm_endorsement.cose")
        raw = submission(corpus, "snp-uvm-2023", message)
        entry = Compliance(
            status="azure-compliant-uvm",
            uvm_issuer=UVM_ISSUER,
            uvm_feed=UVM_FEED,
            uvm_svn=0,
        )

        claims = claims_of(verify(raw, THEN))
        (sent,) = read_snp_submission(raw).uvm_endorsements
        endorsement = verify_uvm_endorsement(sent, claims.measurement, THEN)
        assert endorsement is not None

        assert (UVM_ISSUER, UVM_FEED, 0) == (
            endorsement.issuer,
            endorsement.feed,
            endorsement.svn,
        )
        assert "2023-01-27T18:54:21" == f"{endorsement.signed:%FT%T}"
        assert Vouched(
            status="azure-compliant-uvm", endorsement=endorsement
        ) == find_compliance(
            [entry],
            measurement=claims.measurement,
            endorsements=[endorsement],
        )
        assert 2 == claims.guest_svn  # of the report: another one

    def test_later(self, corpus):
        """
        It holds long after the signer's certificate has ended.
        """
        message = read(corpus, "snp-uvm-2023", "uvm_endorsement.cose")
        report = Report.from_bytes(read(corpus, "snp-uvm-2023", "report.bin"))

        assert verify_uvm_endorsement(message, report.measurement, ISSUED)

    def test_other_guest(self, corpus):
        """
        It is of that guest, and not of another.
        """
        message = read(corpus, "snp-uvm-2023", "uvm_endorsement.cose")
        report = Report.from_bytes(read(corpus, "snp-2025", "report.bin"))

        with pytest.raises(ThimError) as e:
            verify_uvm_endorsement(message, report.measurement, ISSUED)

        assert "uvm-measurement" == e.value.reason

    def test_changed(self, corpus):
        """
        Changed anywhere it is refused, or nothing becomes of it.
        """
        message = read(corpus, "snp-uvm-2023", "uvm_endorsement.cose")
        report = Report.from_bytes(read(corpus, "snp-uvm-2023", "report.bin"))
        stamp, payload = message.index(b"timestamp"), message.index(b'{\n  "x')

        for at in range(0, len(message), 37):
            if stamp <= at < payload - 3:
                continue  # beside what is signed
            changed = bytearray(message)
            changed[at] ^= 0x01
            with contextlib.suppress(ThimError):
                assert (
                    verify_uvm_endorsement(
                        bytes(changed), report.measurement, ISSUED
                    )
                    is None
                )

    def test_runtime(self, corpus):
        """
        Its runtime data is bound to its report.
        """
        report = Report.from_bytes(read(corpus, "snp-uvm-2023", "report.bin"))
        runtime = read(corpus, "snp-uvm-2023", "runtime.json")

        check_snp_binding(report, sent(runtime))
        with pytest.raises(ThimError, match="report data"):
            check_snp_binding(report, sent(runtime + b"\n"))


class TestAppraised:
    def test_missing_list(self, corpus, verify):
        """
        Without AMD's list the guest is accepted, and that is told.
        """
        verdict = verify(submission(corpus, "snp-2025"), ISSUED).verdict

        found = appraise_snp(verdict, None, DEFAULT, Provider(), ISSUED)

        assert found.is_accepted
        assert "missing" == found.revocation

    @pytest.mark.parametrize("rule", ExpiredRule)
    def test_ended_list(self, corpus, verify_by_all, rule):
        """
        AMD's list of 2023 had ended when the token of 2025 was made: nobody is
        refused for good by it, and who accepts what has ended goes on.
        """
        verified = verify_by_all(submission(corpus, "snp-2025"), ISSUED)
        provider = Provider(expired=rule)

        found = appraise_snp(
            verified.verdict,
            verified.crl,
            DEFAULT,
            provider,
            ISSUED,
        )

        assert verified.verdict.is_authentic
        assert "expired" == found.revocation
        if rule is ExpiredRule.ACCEPT:
            assert found.is_accepted
        else:
            assert found.rejection is not None
            assert SnpBlame.LATER is found.rejection.blame


def test_hcl(corpus, verify_by_all):
    """
    The HCL reports of Azure's machines may be sent as they are: the key comes
    from the store, and their claims are the runtime claims.
    """
    now = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
    seen = []
    for path in sorted((corpus / "snp" / "hcl").glob("*snp*")):
        evidence = read_snp_submission(path.read_bytes()).evidence
        with contextlib.suppress(ThimError):
            verified = verify_by_all(path.read_bytes(), now)
            seen.append(verified.verdict.is_authentic)
        runtime = read_hcl_runtime(evidence) or {}
        assert {"keys", "vm-configuration"} <= runtime.keys()

    assert [True] * 7 == seen


def test_reports(corpus, vendor_documents, verify_by_all):
    """
    All of the corpus' reports hold with the key sent beside them, at the last
    instant of its certificate, and have every claim.
    """
    kinds = "snp-report-v2", "snp-report-v3", "snp-report-v5"
    count = 0
    for entry in vendor_documents.of(*kinds):
        key = entry["endorsement_key"]
        raw = make_submission(
            vendor_documents.bytes(entry["name"]), vendor_documents.bytes(key)
        )
        sent = read_snp_submission(raw).key
        assert sent is not None
        found = verify_by_all(raw, sent.leaf.not_after).verdict
        assert [] == [f.reason for f in found.findings]
        assert 18 == len(list_maa_snp_claims(found.claims))
        count += 1

    assert 51 == count
