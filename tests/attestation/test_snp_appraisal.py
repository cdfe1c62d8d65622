import dataclasses
import datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.amd.test_verdict import CLAIMS
from thim.amd.authorities import KeyKind
from thim.amd.report_fields import Cpuid, GuestPolicy, Tcbs
from thim.amd.tcb import ProductLine, TcbVersion
from thim.amd.verdict import Finding, Verdict
from thim.attestation.snp_appraisal import SnpBlame, appraise_snp
from thim.baseline.minimum import Floor, Minimum, Silicon
from thim.baseline.model import DEFAULT
from thim.baseline.provider import ExpiredRule, Provider
from thim.collateral.amd_keys import amd_crl_key
from thim.collateral.ports import Held


NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
MILAN = Cpuid(family=0x19, model=0x01, stepping=0x01)
REFUSE, ARCHIVED, ACCEPT = ExpiredRule
CRL = Held(
    key=amd_crl_key(KeyKind.VCEK, ProductLine.MILAN),
    evaluation_number=None,
    body=b"",
    issuer_chain=b"",
    issued=NOW - DAY,
    next_update=None,
    sha256=bytes(32),
    fetched=NOW,
)


def a_verdict(*, cpuid=MILAN, product=ProductLine.MILAN, policy=None, **spls):
    """
    Make the verdict of an authentic report with a reported TCB.
    """
    tcb = TcbVersion(product=product, **spls)
    low = TcbVersion(product=product)
    claims = dataclasses.replace(
        CLAIMS,
        product=product,
        cpuid=cpuid,
        policy=policy or CLAIMS.policy,
        tcbs=Tcbs(reported=tcb, committed=low, current=low, launch=low),
    )
    return Verdict(findings=(), claims=claims)


def a_refusal(*reasons, step=4):
    """
    Make the verdict of a report that is not authentic.
    """
    findings = tuple(
        Finding(step=step, reason=reason, detail=f"no {reason}")
        for reason in reasons
    )
    return Verdict(findings=findings, claims=None)


def a_baseline(product=ProductLine.MILAN, **floors):
    """
    Make a baseline with a minimum.
    """
    components = {
        name: Floor(spl=spl, source=f"SB-{name}")
        for name, spl in floors.items()
    }
    minimum = Minimum(
        components=components,
        microcode={Silicon(0x19, 0x01, 0x01): Floor(spl=219, source="SB-1")},
    )
    return dataclasses.replace(
        DEFAULT, name="mine", minimums={product: minimum}
    )


def appraise(
    verdict=None,
    *,
    ends=NOW + DAY,
    rule=ARCHIVED,
    grace=datetime.timedelta(),
    baseline=DEFAULT,
):
    """
    Appraise a verdict, by default of a good report.
    """
    provider = Provider(expired=rule, crl_grace=grace)
    found = verdict or a_verdict()
    crl = dataclasses.replace(CRL, next_update=ends) if ends else None
    return appraise_snp(found, crl, baseline, provider, NOW)


def rejection(*args, **kinds):
    """
    Return why it is not accepted.
    """
    found = appraise(*args, **kinds)
    assert found.rejection is not None
    assert not found.is_accepted
    return found.rejection


class TestEvidence:
    @pytest.mark.parametrize(
        "reason", ["leaf-expired", "ask-revoked", "root-not-pinned"]
    )
    def test_chain(self, reason):
        """
        A key that AMD did not issue, or no longer stands for, is the sender's
        fault.
        """
        found = rejection(a_refusal(reason))

        assert (SnpBlame.CHAIN, reason) == (found.blame, found.reason)

    def test_report(self):
        """
        So is a report that the key did not sign, and all reasons are said.
        """
        reasons = "chip-id-mismatch", "report-signature"

        found = rejection(a_refusal(*reasons, step=8))

        assert (SnpBlame.REPORT, reasons[0]) == (found.blame, found.reason)
        assert "no chip-id-mismatch; no report-signature" == found.detail
        assert 2 == len(found.findings)

    @pytest.mark.parametrize(
        "reason", ["leaf-not-yet-valid", "ask-not-yet-valid", "crl-expired"]
    )
    def test_later(self, reason):
        """
        What only time heals is not held against the report.
        """
        assert SnpBlame.LATER is rejection(a_refusal(reason)).blame

    def test_debug(self):
        """
        A guest that may be debugged is accepted: policies can tell.
        """
        policy = GuestPolicy(raw=0xB001F)

        assert appraise(a_verdict(policy=policy)).is_accepted


class TestRevocation:
    @pytest.mark.parametrize("rule", ExpiredRule)
    def test_checked(self, rule):
        """
        A list that is valid satisfies everybody.
        """
        found = appraise(ends=NOW + SECOND, rule=rule)

        assert found.is_accepted
        assert "checked" == found.revocation
        assert () == found.accepted_expired

    @pytest.mark.parametrize("rule", [ARCHIVED, ACCEPT])
    def test_missing(self, rule):
        """
        A list that is missing is told.
        """
        found = appraise(ends=None, rule=rule)

        assert found.is_accepted
        assert "missing" == found.revocation

    def test_missing_for_the_strict(self):
        """
        Who refuses what has ended does not do without a list, and is told to
        come again.
        """
        found = rejection(ends=None, rule=REFUSE)

        assert (SnpBlame.LATER, "crl-missing") == (found.blame, found.reason)

    @pytest.mark.parametrize("ago", [SECOND, 400 * DAY])
    @pytest.mark.parametrize("rule", [REFUSE, ARCHIVED])
    def test_expired(self, rule, ago):
        """
        With a list that has ended nobody is refused for good.
        """
        found = rejection(ends=NOW - ago, rule=rule)

        assert (SnpBlame.LATER, "crl-expired") == (found.blame, found.reason)

    @pytest.mark.parametrize(
        ("rule", "ago", "is_accepted"),
        [
            (ARCHIVED, datetime.timedelta(), True),
            (REFUSE, datetime.timedelta(), False),
            (ARCHIVED, SECOND, True),
            (ARCHIVED, 14 * DAY, True),
            (ARCHIVED, 14 * DAY + SECOND, False),
            (REFUSE, SECOND, False),
            (ACCEPT, 400 * DAY, True),
        ],
    )
    def test_grace(self, rule, ago, is_accepted):
        """
        A grace stretches a list, but not for those who refuse what has ended.
        """
        found = appraise(ends=NOW - ago, rule=rule, grace=14 * DAY)

        names = ("amd/crl/Milan:vcek/0",) if is_accepted else ()
        assert is_accepted == found.is_accepted
        assert "expired" == found.revocation
        assert names == found.accepted_expired

    @given(
        ago=st.timedeltas(-3 * DAY, 30 * DAY),
        grace=st.timedeltas(datetime.timedelta(), 20 * DAY),
    )
    def test_order(self, ago, grace):
        """
        What the strict accept the others do too.
        """
        accepted = [
            appraise(ends=NOW - ago, rule=rule, grace=grace).is_accepted
            for rule in (REFUSE, ARCHIVED, ACCEPT)
        ]

        assert sorted(accepted) == accepted


class TestMinimum:
    def test_below(self):
        """
        Each component below the minimum is named, with what is needed and who
        says so.
        """
        found = rejection(
            a_verdict(bootloader=3, snp=23, microcode=218),
            baseline=a_baseline(bootloader=4, snp=23),
        )

        assert (SnpBlame.TCB, "below-minimum") == (found.blame, found.reason)
        assert [("bootloader", 3, 4), ("microcode", 218, 219)] == [
            (each.component, each.found, each.needed)
            for each in found.shortfalls
        ]
        assert (
            "below the minimum of baseline mine: bootloader is 3, 4 is needed "
            "(SB-bootloader); microcode is 218, 219 is needed (SB-1)"
        ) == found.detail

    def test_met(self):
        """
        The reported TCB counts, however low the others are, and what it was
        compared in is told.
        """
        found = appraise(
            a_verdict(snp=23, microcode=219), baseline=a_baseline(snp=23)
        )

        assert found.is_accepted
        assert ("snp", "microcode") == found.judged

    def test_unknown_silicon(self):
        """
        Microcode is not compared where the report does not say which silicon
        it is of.
        """
        found = appraise(
            a_verdict(snp=23, cpuid=None), baseline=a_baseline(snp=23)
        )

        assert found.is_accepted
        assert ("snp",) == found.judged

    def test_other_product(self):
        """
        A minimum of another product line is none.
        """
        baseline = a_baseline(ProductLine.GENOA, snp=255)

        found = appraise(a_verdict(), baseline=baseline)

        assert found.is_accepted
        assert () == found.judged

    def test_turin(self):
        """
        Turin has a component more.
        """
        found = rejection(
            a_verdict(product=ProductLine.TURIN, cpuid=None, fmc=0),
            baseline=a_baseline(ProductLine.TURIN, fmc=1),
        )

        assert ["fmc"] == [each.component for each in found.shortfalls]
