"""
Whether verified quotes are good enough for a provider.
"""

import dataclasses
import datetime
import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.intel.levels_made import (
    CONFIGURATION,
    HARDENING,
    OUT,
    OUT_CONFIGURATION,
    REVOKED,
    UP,
    level,
    part,
    tcb_info,
)
from tests.intel.quotes_made import (
    END,
    INTEL,
    NOW,
    PLATFORM,
    SECOND,
    STRANGER,
    chain_pem,
    good,
    make,
    verify,
)
from thim.amd.verdict import Finding as SnpFinding
from thim.attestation.appraisal import (
    OF_COLLATERAL,
    OF_DOCUMENTS,
    OF_TCB,
    Refusal,
    Rejection,
    appraise,
    list_dangers,
    reject_finding,
    reject_unbound,
    reject_unreadable,
)
from thim.attestation.binding import BindingError
from thim.baseline.provider import ExpiredRule, Provider
from thim.errors import MalformedError
from thim.intel.names import PckCa
from thim.intel.quote_collateral import NOT_YET_ISSUED
from thim.intel.steps import Finding, Step
from thim.intel.tcb import TcbStatus
from thim.simulate.pck import issue_pck_certificate
from thim.simulate.quote import SgxBody


DAY = datetime.timedelta(days=1)
REFUSE = Provider(expired=ExpiredRule.REFUSE)
ARCHIVED = Provider()
ACCEPT = Provider(expired=ExpiredRule.ACCEPT)
UP_ONLY = frozenset({TcbStatus.UP_TO_DATE})
ALL = frozenset(TcbStatus)
#: So long after their issue date do CRLs end that outlive the documents.
LATE = END + 400 * DAY
STATUSES = [UP, HARDENING, CONFIGURATION, OUT, OUT_CONFIGURATION, REVOKED]


def lists(until=LATE):
    """
    Issue revocation lists that end at *until*.
    """
    return {
        "pck_crl": INTEL.pck_crl(ca=PckCa.PLATFORM, next_update=until),
        "root_ca_crl": INTEL.root_crl(next_update=until),
    }


def judge(provider=ARCHIVED, *, is_withdrawn=False, kind="v3", **given):
    """
    Verify a quote, the good one by default, and appraise it.
    """
    verdict = verify(kind, **given)
    return appraise(verdict, provider, is_withdrawn=is_withdrawn)


def refuse(provider=ARCHIVED, **given):
    """
    The same where it is refused; return why.
    """
    found = judge(provider, **given)
    assert not found.is_accepted
    assert () == found.accepted_expired
    assert isinstance(found.rejection, Rejection)
    return found.rejection


def at_level(status, kind="v3", qe=UP):
    """
    What makes a quote verify with *status*, and its QE with *qe*.
    """
    return {
        "kind": kind,
        "tcb_info": tcb_info(kind, [level(status, advisories=["SA-1"])]),
        "identity": {"tcbLevels": [part(qe)]},
    }


class TestStatuses:
    @pytest.mark.parametrize("status", STATUSES)
    def test_enclave(self, status):
        """
        An enclave's platform must be up to date, or lack hardening only.
        """
        found = judge(**at_level(status))
        assert (status in {UP, HARDENING}) == found.is_accepted

    @pytest.mark.parametrize("status", STATUSES)
    def test_td(self, status):
        """
        A TD's status is for policies to judge, unless it is revoked.
        """
        found = judge(**at_level(status, "v4"))
        assert (status != REVOKED) == found.is_accepted

    @pytest.mark.parametrize("kind", ["v3", "v4", "v5"])
    @pytest.mark.parametrize("status", STATUSES)
    def test_as_set(self, kind, status):
        """
        A provider's own statuses count, those of the TEE alone.
        """
        ours = frozenset({TcbStatus(status)})
        name = "sgx_statuses" if kind == "v3" else "tdx_statuses"
        other = "tdx_statuses" if kind == "v3" else "sgx_statuses"
        provider = Provider(**{name: ours, other: frozenset()})
        assert judge(provider, **at_level(status, kind)).is_accepted
        provider = Provider(**{name: ALL - ours, other: ALL})
        assert not judge(provider, **at_level(status, kind)).is_accepted

    def test_qe(self):
        """
        An outdated QE makes the enclave outdated.
        """
        found = refuse(**at_level(UP, qe=OUT))

        assert (Refusal.TCB, OF_TCB) == (found.kind, found.sentence)
        assert "TCB status is OutOfDate" in found.detail

    def test_hidden_qe(self):
        """
        An outdated QE counts also where the platform's own status hides it.
        """
        statuses = frozenset({TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED})
        provider = Provider(sgx_statuses=statuses)
        levels = at_level(OUT_CONFIGURATION)
        assert judge(provider, **levels).is_accepted
        levels = at_level(OUT_CONFIGURATION, qe=OUT)
        assert not judge(provider, **levels).is_accepted
        both = Provider(sgx_statuses=statuses | {TcbStatus.OUT_OF_DATE})
        assert judge(both, **levels).is_accepted

    def test_below_all_levels(self):
        """
        A platform below all levels is refused, whatever is allowed.
        """
        levels = {"tcb_info": tcb_info("v3", [level(UP, sgx=200)])}
        found = refuse(Provider(sgx_statuses=ALL), **levels)

        assert (Refusal.TCB, OF_TCB) == (found.kind, found.sentence)
        assert "it is at no TCB level" in found.detail

    def test_debug(self):
        """
        Whether an enclave is under debug is for policies to judge.
        """
        body = SgxBody(attributes=bytes([7]) + bytes(15))
        raw = make("v3", body=body)

        assert judge(raw=raw).is_accepted


class TestTcbDetail:
    def test_components(self):
        """
        The refusal names the number, each component with what it has and what
        it needs, and the advisories.
        """
        levels = [level(UP, pcesvn=99), level(OUT, advisories=["SA-2", "SA-1"])]
        found = refuse(tcb_info=tcb_info("v3", levels))

        assert found.message.startswith(f"{OF_TCB}: TCB status is OutOfDate")
        for text in (
            "by the TCB evaluation data number 17",
            "expected SWHardeningNeeded or UpToDate",
            f"PCESVN is {PLATFORM.pcesvn}, needed is 99 (SA-1, SA-2)",
        ):
            assert text in found.detail
        assert [("PCESVN", str(PLATFORM.pcesvn), "99")] == [
            (each.component, each.found, each.needed)
            for each in found.findings
            if isinstance(each, Finding)
        ]

    def test_stricter_than_usual(self):
        """
        A provider that wants more than is usual says what is short, too.
        """
        found = refuse(Provider(sgx_statuses=UP_ONLY), **at_level(HARDENING))

        assert "TCB status is SWHardeningNeeded" in found.detail
        assert "expected UpToDate" in found.detail
        assert ["sw-hardening-needed"] == [e.reason for e in found.findings]

    def test_describe(self):
        """
        The parts can be written as JSON, in the form of an account's.
        """
        levels = [level(UP, pcesvn=99), level(OUT, advisories=["SA-1"])]
        found = refuse(tcb_info=tcb_info("v3", levels)).describe()

        assert found == json.loads(json.dumps(found))
        assert ("tcb", "PCESVN", ["SA-1"]) == (
            found["kind"],
            found["findings"][0]["component"],
            found["findings"][0]["advisories"],
        )

    def test_code(self):
        """
        The code is Azure's.
        """
        assert "InvalidParameter" == refuse(**at_level(OUT)).code


class TestDates:
    """
    Documents end at END, revocation lists with them or at LATE.
    """

    @pytest.mark.parametrize("provider", [REFUSE, ARCHIVED, ACCEPT])
    @pytest.mark.parametrize("is_withdrawn", [False, True])
    def test_nothing_expired(self, provider, is_withdrawn):
        """
        Up to its very end a document decides, by every rule.
        """
        found = judge(provider, is_withdrawn=is_withdrawn, now=END)
        assert (True, ()) == (found.is_accepted, found.accepted_expired)

    def test_archived(self):
        """
        Documents of a number that is not signed any more decide past their
        end, and stand in the token.
        """
        found = judge(is_withdrawn=True, now=END + SECOND, **lists())

        assert found.is_accepted
        assert ("tcb-info", "identity") == found.accepted_expired

    def test_signed(self):
        """
        Those of a number that is still signed do not: ours are behind, and a
        retry may help.
        """
        found = refuse(now=END + SECOND, **lists())

        assert (Refusal.TRANSIENT, OF_DOCUMENTS, "ServiceUnavailable") == (
            found.kind,
            found.sentence,
            found.code,
        )
        assert ["tcb-info", "identity"] == [
            each.component for each in found.findings
        ]
        assert "expired = archived-only and crl_grace = 0d" in found.detail

    def test_all_at_once(self):
        """
        Where lists have ended as well, the sentence is that of the documents.
        """
        found = refuse(now=END + SECOND)

        assert (Refusal.TRANSIENT, OF_DOCUMENTS) == (found.kind, found.sentence)
        assert 4 == len(found.findings)

    def test_refuse(self):
        """
        Where nothing expired decides, a withdrawn number never will: no retry
        helps.
        """
        given = {"now": END + SECOND, **lists()}
        found = refuse(REFUSE, is_withdrawn=True, **given)
        assert (Refusal.COLLATERAL, "InvalidParameter") == (
            found.kind,
            found.code,
        )
        assert Refusal.TRANSIENT is refuse(REFUSE, **given).kind

    @pytest.mark.parametrize("is_withdrawn", [False, True])
    def test_list(self, is_withdrawn):
        """
        An expired revocation list never decides, for no number.
        """
        lists_until_now = lists(NOW)
        found = refuse(
            is_withdrawn=is_withdrawn, now=NOW + SECOND, **lists_until_now
        )

        assert (Refusal.TRANSIENT, OF_COLLATERAL) == (
            found.kind,
            found.sentence,
        )
        assert ["pck-crl", "root-ca-crl"] == [
            each.component for each in found.findings
        ]

    @pytest.mark.parametrize("name", ["pck_crl", "root_ca_crl"])
    def test_one_list(self, name):
        """
        Either list alone is enough.
        """
        ended = {name: lists(NOW)[name]}
        found = refuse(now=NOW + SECOND, **ended)
        assert Refusal.TRANSIENT is found.kind

    def test_list_and_documents(self):
        """
        Documents that may decide do not make up for a list that may not.
        """
        found = refuse(is_withdrawn=True, now=END + SECOND)

        assert Refusal.TRANSIENT is found.kind
        assert "tcb-info" not in found.detail

    def test_grace(self):
        """
        A list decides until its grace is over, and stands in the token.
        """
        provider = Provider(crl_grace=14 * DAY)
        given = lists(NOW)
        found = judge(provider, now=NOW + 14 * DAY, **given)
        assert ("pck-crl", "root-ca-crl") == found.accepted_expired
        late = NOW + 14 * DAY + SECOND
        assert Refusal.TRANSIENT is refuse(provider, now=late, **given).kind

    def test_no_grace_where_nothing_expired_decides(self):
        """
        Where nothing expired decides, a list has no grace either.
        """
        provider = dataclasses.replace(REFUSE, crl_grace=14 * DAY)
        found = refuse(provider, now=NOW + SECOND, **lists(NOW))
        assert Refusal.TRANSIENT is found.kind

    def test_grace_is_for_lists(self):
        """
        Other documents have no grace.
        """
        provider = Provider(crl_grace=14 * DAY)
        found = refuse(provider, now=END + SECOND, **lists())
        assert Refusal.TRANSIENT is found.kind

    def test_accept(self):
        """
        A provider for tests lets everything decide; the token says what.
        """
        found = judge(ACCEPT, now=END + 100 * DAY)

        assert ("tcb-info", "identity", "pck-crl", "root-ca-crl") == (
            found.accepted_expired
        )
        assert ("accept-expired",) == list_dangers(ACCEPT)
        assert () == list_dangers(ARCHIVED) == list_dangers(REFUSE)

    def test_identity_of_another_number(self):
        """
        Only an identity of the number that was chosen is archived with it.
        """
        other = {"identity": INTEL.identity(number=16)}
        given = {"now": END + SECOND, "is_withdrawn": True, **lists(), **other}
        found = refuse(**given)

        assert Refusal.TRANSIENT is found.kind
        assert ["identity"] == [each.component for each in found.findings]

    def test_dates_come_first(self):
        """
        A TCB is not judged by documents that may not decide.
        """
        found = refuse(now=END + SECOND, **lists(), **at_level(OUT))
        assert Refusal.TRANSIENT is found.kind

    def test_authentic_comes_first(self):
        """
        What is forged is the caller's, also where our documents are behind.
        """
        raw = good("v3")[:-1] + b"\1"
        found = refuse(now=END + SECOND, raw=raw)
        assert Refusal.EVIDENCE is found.kind


class TestFailures:
    @pytest.mark.parametrize(
        ("at", "step"),
        [
            (48 + 320, Step.QUOTE_SIGNATURE),
            (436, Step.QUOTE_SIGNATURE),
            (500, Step.ATTESTATION_KEY),
            (436 + 128 + 64, Step.QE_REPORT),
        ],
    )
    def test_forged(self, at, step):
        """
        A quote that was changed is no evidence; the step is named.
        """
        raw = bytearray(good("v3"))
        raw[at] ^= 1
        found = refuse(raw=bytes(raw))

        assert (Refusal.EVIDENCE, "InvalidQuote") == (found.kind, found.code)
        assert found.message.startswith("The specified quote was invalid: ")
        assert f"(step {int(step)}: " in found.detail

    def test_foreign_root(self):
        """
        A chain to another root is the evidence's fault.
        """
        raw = make("v3", certification_data=chain_pem(intel=STRANGER))
        found = refuse(raw=raw)
        assert (Refusal.EVIDENCE, OF_COLLATERAL) == (found.kind, found.sentence)
        assert "InvalidParameter" == found.code

    def test_ended_chain(self):
        """
        A PCK certificate that has ended is the evidence's fault, by every
        rule: nobody else can mend it.
        """
        leaf = issue_pck_certificate(INTEL, PLATFORM, until=NOW)
        raw = make("v3", certification_data=chain_pem(leaf=leaf))
        for provider in (REFUSE, ARCHIVED, ACCEPT):
            found = refuse(provider, raw=raw, now=NOW + SECOND)
            assert Refusal.EVIDENCE is found.kind

    def test_revoked(self):
        """
        So is one that is revoked.
        """
        leaf = issue_pck_certificate(INTEL, PLATFORM)
        revoked = INTEL.pck_crl(ca=PckCa.PLATFORM, revoked=[leaf.serial_number])
        found = refuse(pck_crl=revoked)

        assert (Refusal.EVIDENCE, OF_COLLATERAL) == (found.kind, found.sentence)
        assert "PCK certificate is revoked" in found.detail

    def test_document_of_the_future(self):
        """
        A document of the future is a clock's fault, and not the evidence's.
        """
        found = refuse(now=NOW - 2 * DAY)

        assert Refusal.TRANSIENT is found.kind
        assert NOT_YET_ISSUED in {each.reason for each in found.findings}

    def test_unknown_module(self):
        """
        A TDX module that the TCB info does not know is not at the baseline.
        """
        finding = Finding(
            step=Step.MODULE, reason="tdx-module-unknown", detail="unknown"
        )
        found = reject_finding(finding)
        assert (Refusal.TCB, OF_TCB) == (found.kind, found.sentence)

    @pytest.mark.parametrize("step", [Step.CRLS, Step.TCB_INFO, Step.IDENTITY])
    def test_our_documents(self, step):
        """
        What is wrong with our own documents is never the evidence's fault.
        """
        finding = Finding(step=step, reason="reason", detail="what it is")
        assert Refusal.TRANSIENT is reject_finding(finding).kind

    def test_early(self):
        """
        A genuine certificate that is not valid yet will be: a clock is wrong.
        """
        finding = Finding(
            step=Step.PCK_CHAIN, reason="certificate-early", detail="early"
        )
        assert Refusal.TRANSIENT is reject_finding(finding).kind

    def test_platform(self):
        """
        A platform that our TCB info is not for has none, for good.
        """
        finding = Finding(
            step=Step.PLATFORM, reason="tcb-info-pce-id", detail="other"
        )
        assert Refusal.COLLATERAL is reject_finding(finding).kind

    @pytest.mark.parametrize("step", Step)
    def test_each_step(self, step):
        """
        Whatever step does not hold, there is an answer with its words in it.
        """
        finding = Finding(step=step, reason="reason", detail="what it is")
        found = reject_finding(finding)

        assert found.sentence.startswith("The specified quote was invalid")
        assert "what it is" in found.message
        assert (finding,) == found.findings


class TestOthers:
    def test_report(self):
        """
        Findings about an SEV-SNP report are described, too.
        """
        finding = SnpFinding(
            step=2, reason="leaf-expired", detail="ended", found="1"
        )
        found = Rejection(
            kind=Refusal.EVIDENCE,
            sentence="sentence",
            detail="detail",
            findings=(finding,),
        )
        assert [(2, "leaf-expired", "1")] == [
            (each["step"], each["reason"], each["found"])
            for each in found.describe()["findings"]
        ]

    def test_unreadable(self):
        """
        What cannot be read is no evidence.
        """
        error = MalformedError("20 bytes", reason="not-evidence")
        found = reject_unreadable(error)

        assert (Refusal.EVIDENCE, "InvalidQuote") == (found.kind, found.code)
        assert "The specified quote was invalid: 20 bytes" == found.message
        assert ["not-evidence"] == [each.reason for each in found.findings]

    def test_unbound(self):
        """
        Evidence that does not speak for its data says what it lacks.
        """
        error = BindingError("runtime-data", "report data", "00", "ff", "no")
        found = reject_unbound(error)

        assert (Refusal.BINDING, "InvalidParameter") == (found.kind, found.code)
        (finding,) = found.findings
        assert isinstance(finding, Finding)
        assert ("report data", "00", "ff") == (
            finding.component,
            finding.found,
            finding.needed,
        )


instants = st.sampled_from([0, 10, 29, 31, 50, 1000]).map(
    lambda days: NOW + days * DAY
)
verdicts = st.builds(
    lambda now, crls, status, qe: verify(
        "v3",
        now=now,
        tcb_info=tcb_info("v3", [level(status)]),
        identity={"tcbLevels": [part(qe)]},
        **crls,
    ),
    instants,
    st.sampled_from([{}, lists(), lists(NOW)]),
    st.sampled_from(STATUSES),
    st.sampled_from([UP, OUT]),
)
statuses = st.frozensets(st.sampled_from(TcbStatus))


class TestMonotone:
    @given(verdicts, st.booleans(), statuses, st.integers(0, 40))
    def test_rules(self, verdict, is_withdrawn, allowed, grace):
        """
        What a stricter rule accepts, a laxer one accepts too.
        """
        found = [
            appraise(
                verdict,
                Provider(
                    expired=rule, sgx_statuses=allowed, crl_grace=grace * DAY
                ),
                is_withdrawn=is_withdrawn,
            ).is_accepted
            for rule in (
                ExpiredRule.REFUSE,
                ExpiredRule.ARCHIVED_ONLY,
                ExpiredRule.ACCEPT,
            )
        ]
        assert sorted(found) == found

    @given(verdicts, statuses, statuses, st.integers(0, 40))
    def test_more_is_more(self, verdict, allowed, more, grace):
        """
        Neither more statuses, nor a longer grace, nor a number's withdrawal
        ever makes for a refusal.
        """
        for lax, strict in (
            (Provider(sgx_statuses=allowed | more), False),
            (Provider(sgx_statuses=allowed, crl_grace=grace * DAY), False),
            (Provider(sgx_statuses=allowed), True),
        ):
            usual = Provider(sgx_statuses=allowed)
            before = appraise(verdict, usual, is_withdrawn=False).is_accepted
            after = appraise(verdict, lax, is_withdrawn=strict).is_accepted
            assert before <= after

    @given(verdicts, st.sampled_from(ExpiredRule), st.booleans())
    def test_told(self, verdict, rule, is_withdrawn):
        """
        Whatever had ended and decided is told, by every rule.
        """
        provider = Provider(expired=rule, sgx_statuses=ALL)
        found = appraise(verdict, provider, is_withdrawn=is_withdrawn)
        if found.is_accepted:
            expected = tuple(used.name for used in verdict.expired)
            assert expected == found.accepted_expired
