import dataclasses
import hashlib

import pytest

from tests.amd import report_parts as parts
from tests.amd.test_hcl import CLAIMS as HCL_CLAIMS
from tests.amd.test_verdict import CLAIMS
from tests.attestation.snp_made import make_report
from tests.attestation.test_compliance import UVM
from tests.attestation.test_snp_submission import hcl_around
from thim.amd.authorities import KeyKind
from thim.amd.report import Report
from thim.amd.report_fields import Tcbs
from thim.amd.tcb import ProductLine, TcbVersion
from thim.attestation.compliance import Vouched
from thim.attestation.evidence import SnpEvidence
from thim.attestation.maa_snp_claims import (
    SNP_NAMES,
    list_maa_snp_claims,
    list_report_claims,
    list_thim_snp_claims,
    read_hcl_runtime,
)
from thim.attestation.snp_appraisal import SnpAppraisal
from thim.attestation.snp_submission import read_snp_submission
from thim.errors import MalformedError


MILAN, GENOA, TURIN = ProductLine
DOCUMENTS = {"vcek": "01", "amd/crl/Milan:vcek": "02"}
ACCEPTED = SnpAppraisal(rejection=None, revocation="checked")


def ours(claims=CLAIMS, appraisal=ACCEPTED, **more):
    """
    List our claims without what they begin with.
    """
    found = list_thim_snp_claims(
        claims, appraisal, baseline="mine", documents=DOCUMENTS, **more
    )
    prefix = "x-thim-"
    assert all(name.startswith(prefix) for name in found)
    assert found.keys() <= SNP_NAMES
    return {name.removeprefix(prefix): value for name, value in found.items()}


class TestReportClaims:
    def test_all(self):
        """
        All are of the report, each by its offset there.
        """
        report = Report.from_bytes(parts.a_report())
        tcb = report.decode_tcbs(GENOA).reported

        assert {
            "x-ms-sevsnpvm-authorkeydigest": parts.AUTHOR_KEY_DIGEST.hex(),
            "x-ms-sevsnpvm-bootloader-svn": 3,
            "x-ms-sevsnpvm-familyId": parts.FAMILY_ID.hex(),
            "x-ms-sevsnpvm-guestsvn": 0x1000B,
            "x-ms-sevsnpvm-hostdata": parts.HOST_DATA.hex(),
            "x-ms-sevsnpvm-idkeydigest": parts.ID_KEY_DIGEST.hex(),
            "x-ms-sevsnpvm-imageId": parts.IMAGE_ID.hex(),
            "x-ms-sevsnpvm-is-debuggable": True,
            "x-ms-sevsnpvm-launchmeasurement": parts.MEASUREMENT.hex(),
            "x-ms-sevsnpvm-microcode-svn": 0xD1,
            "x-ms-sevsnpvm-migration-allowed": False,
            "x-ms-sevsnpvm-reportdata": parts.REPORT_DATA.hex(),
            "x-ms-sevsnpvm-reportid": parts.REPORT_ID.hex(),
            "x-ms-sevsnpvm-smt-allowed": True,
            "x-ms-sevsnpvm-snpfw-svn": 0x18,
            "x-ms-sevsnpvm-tee-svn": 0,
            "x-ms-sevsnpvm-vmpl": 1,
        } == list_report_claims(report, tcb)

    @pytest.mark.parametrize(
        ("policy", "name"),
        [
            ("000003", "smt-allowed"),
            ("000006", "migration-allowed"),
            ("00000a", "is-debuggable"),
        ],
    )
    def test_policy(self, policy, name):
        """
        Each flag is a bit of the policy.
        """
        report = Report.from_bytes(parts.a_report(at_008=policy.ljust(16, "0")))
        found = list_report_claims(report, report.decode_tcbs(GENOA).reported)

        flags = {k: v for k, v in found.items() if isinstance(v, bool)}
        assert {f"x-ms-sevsnpvm-{name}"} == {k for k, v in flags.items() if v}
        assert 3 == len(flags)

    def test_turin(self):
        """
        Turin has its numbers elsewhere; they keep their names.
        """
        raw = parts.a_report(
            at_188="1a0200",
            **{f"at_{at}": "0102030400000005" for at in TCB_OFFSETS},
        )
        report = Report.from_bytes(raw)
        tcb = report.decode_tcbs(TURIN).reported

        found = list_report_claims(report, tcb)

        assert (2, 3, 4, 5) == tuple(
            found[f"x-ms-sevsnpvm-{name}-svn"]
            for name in ("bootloader", "tee", "snpfw", "microcode")
        )

    def test_without_tcb(self):
        """
        Of a TCB that cannot be read there are no claims.
        """
        report = Report.from_bytes(parts.a_report())

        found = list_report_claims(report, None)

        assert 13 == len(found)
        assert "x-ms-sevsnpvm-guestsvn" in found


TCB_OFFSETS = ("038", "180", "1e0", "1f0")


class TestMaaClaims:
    def test_least(self):
        """
        What was not sent or is not known has no claim.
        """
        found = list_maa_snp_claims(CLAIMS)

        assert "sevsnpvm" == found.pop("x-ms-attestation-type")
        assert list_report_claims(CLAIMS, CLAIMS.tcbs.reported) == found

    def test_reported(self):
        """
        Of the four TCB versions the reported one counts.
        """
        low, high = (TcbVersion(product=MILAN, snp=n) for n in (1, 2))
        tcbs = Tcbs(reported=low, committed=high, current=high, launch=high)

        found = list_maa_snp_claims(dataclasses.replace(CLAIMS, tcbs=tcbs))

        assert 1 == found["x-ms-sevsnpvm-snpfw-svn"]

    def test_data(self):
        """
        Data and status have one each.
        """
        found = list_maa_snp_claims(
            CLAIMS,
            runtime={"a": 2},
            init_time={},
            vouched=Vouched(status="azure-compliant-cvm"),
        )

        assert {"a": 2} == found["x-ms-runtime"]
        assert {} == found["x-ms-inittime"]
        assert "azure-compliant-cvm" == found["x-ms-compliance-status"]
        assert found.keys() <= SNP_NAMES


class TestThimClaims:
    def test_least(self):
        """
        The baseline, what decided, and the four TCB versions are always told;
        the chip never is.
        """
        assert {
            "baseline": "mine",
            "documents": {"amd/crl/Milan:vcek": "02", "vcek": "01"},
            "product": "Milan",
            "revocation": "checked",
            "signing-key": "vcek",
            "tcb": "0000000000000000",
            "tcb-committed": "0000000000000000",
            "tcb-current": "0000000000000000",
            "tcb-launch": "0000000000000000",
        } == ours()

    def test_tcbs(self):
        """
        A TCB version is written as in Azure's collateral, microcode first.
        """
        four = [TcbVersion(product=MILAN, snp=n) for n in range(1, 5)]
        names = "reported", "committed", "current", "launch"
        tcbs = Tcbs(**dict(zip(names, four, strict=True)))

        found = ours(dataclasses.replace(CLAIMS, tcbs=tcbs))

        assert [f"000{n}000000000000" for n in range(1, 5)] == [
            found[name]
            for name in ("tcb", "tcb-committed", "tcb-current", "tcb-launch")
        ]

    def test_turin(self):
        """
        Turin's FMC has a claim of ours, since Azure has none.
        """
        tcb = TcbVersion(product=TURIN, fmc=7)
        tcbs = Tcbs(reported=tcb, committed=tcb, current=tcb, launch=tcb)

        found = ours(dataclasses.replace(CLAIMS, product=TURIN, tcbs=tcbs))

        assert 7 == found["fmc-svn"]
        assert "Turin" == found["product"]

    def test_provider(self):
        """
        A key of a provider is told with its name.
        """
        claims = dataclasses.replace(
            CLAIMS, kind=KeyKind.VLEK, csp_id="CN=cc-us-east-2.amazonaws.com"
        )

        found = ours(claims)

        assert ("vlek", "CN=cc-us-east-2.amazonaws.com") == (
            found["signing-key"],
            found["csp-id"],
        )

    def test_judged(self):
        """
        What the minimum was compared in, and what had ended, are told where
        there is something.
        """
        appraisal = SnpAppraisal(
            rejection=None,
            revocation="expired",
            accepted_expired=("amd/crl/Milan:vcek",),
            judged=("snp", "microcode"),
        )

        found = ours(appraisal=appraisal)

        assert ["snp", "microcode"] == found["tcb-judged"]
        assert "expired" == found["revocation"]
        assert ["amd/crl/Milan:vcek"] == found["accepted-expired"]

    def test_endorsement(self):
        """
        The endorsement that gave the status is told.
        """
        found = ours(vouched=Vouched(status="uvm", endorsement=UVM))

        assert (UVM.issuer, "feed", 5) == tuple(
            found[name] for name in ("uvm-issuer", "uvm-feed", "uvm-svn")
        )

    def test_endorsement_without_svn(self):
        """
        Its SVN too, if it has one.
        """
        bare = dataclasses.replace(UVM, svn=None)

        found = ours(vouched=Vouched(status="uvm", endorsement=bare))

        assert {"uvm-issuer", "uvm-feed"} == {
            name for name in found if name.startswith("uvm")
        }

    def test_status(self):
        """
        Of a status that comes of something else there is nothing to tell.
        """
        assert ours() == ours(vouched=Vouched(status="ours"))


class TestHclRuntime:
    def test_none(self):
        """
        A bare report binds no claims that are known.
        """
        report = Report.from_bytes(parts.a_report())

        assert read_hcl_runtime(SnpEvidence(report=report)) is None

    def test_bound(self):
        """
        An HCL report binds its claims.
        """
        assert {"keys": [], "user-data": "00"} == read_hcl_runtime(
            evidence(HCL_CLAIMS)
        )

    def test_order(self):
        """
        They are in order at every depth, and may have fractions.
        """
        found = read_hcl_runtime(evidence(b'{"b":[{"d":1,"c":1.5}],"a":0}'))

        assert found is not None
        assert ["a", "b"] == list(found)
        assert [("c", 1.5), ("d", 1)] == list(found["b"][0].items())

    @pytest.mark.parametrize(
        ("claims", "match"),
        [
            (b"[]", "expected an object"),
            (b"hello", "claims: not JSON"),
            (b'{"a":"\\ud800"}', "half a character"),
            (b'{"a":1,"a":2}', "twice"),
        ],
    )
    def test_no_object(self, claims, match):
        """
        Claims that are no JSON object have no place in a token.
        """
        with pytest.raises(MalformedError, match=match) as e:
            read_hcl_runtime(evidence(claims))

        assert "runtime-data" == e.value.reason


def evidence(claims):
    """
    Make an HCL report around a report that binds *claims*.
    """
    data = hashlib.sha256(claims).digest().ljust(64, b"\0")
    raw = hcl_around(make_report(report_data=data), claims)
    return read_snp_submission(raw).evidence
