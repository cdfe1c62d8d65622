"""
A verdict as an object: the same for people, for scripts and over HTTP.

Everything in it can be written as JSON: bytes are lower-case hexadecimal
digits in memory order, instants RFC 3339 in UTC.  The facts about the enclave,
TD or guest (``claims``) are there only if the evidence is authentic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.amd.steps import STEPS
from thim.attestation.claims import list_claims, list_snp_claims
from thim.attestation.evidence import QuoteEvidence
from thim.attestation.step_notes import describe_step
from thim.intel.report_body import SgxReportBody
from thim.intel.steps import Remedy, Step
from thim.intel.tcb import ACCEPTABLE_STATUSES


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from thim.amd.verdict import Finding as SnpFinding
    from thim.amd.verdict import Verdict as SnpVerdict
    from thim.attestation.evidence import Evidence, SnpEvidence
    from thim.errors import ThimError
    from thim.intel.evaluation import TcbVerdict
    from thim.intel.quote_collateral import Used
    from thim.intel.steps import Finding
    from thim.intel.verdict import Verdict

#: A step's result.
OK: Final = "ok"
BEHIND: Final = "behind"
FAILED: Final = "failed"
NOT_REACHED: Final = "not-reached"
#: What an appraisal looks at first.
FACTS: Final = (
    "debug",
    "kss",
    "sept_ve_disable",
    "service_td",
    "mrenclave",
    "mrsigner",
    "isvprodid",
    "isvsvn",
    "mrtd",
    "measurement",
    "report_data",
)

#: Whether revocation lists had their say.
CHECKED: Final = "checked"
EXPIRED: Final = "expired"
MISSING: Final = "missing"

_OF_TDX: Final = frozenset({Step.MODULE, Step.MODULE_TCB})
#: The steps by which evidence is refuted where collateral is missing.
_WITHOUT_COLLATERAL: Final = frozenset(
    {
        Step.LAYOUT,
        Step.PCK_CHAIN,
        Step.QE_REPORT,
        Step.ATTESTATION_KEY,
        Step.QUOTE_SIGNATURE,
    }
)
#: Of those the ones that take no PCK certificate either.
_WITHOUT_PCK: Final = _WITHOUT_COLLATERAL - {Step.PCK_CHAIN, Step.QE_REPORT}
#: AMD's steps up to this one end the procedure where they fail.
_LAST_TO_END: Final = 4

Account = dict[str, Any]


def account_for_quote(evidence: QuoteEvidence, verdict: Verdict) -> Account:
    """
    Give an account of a quote's verdict.
    """
    collateral, tcb = verdict.collateral, verdict.tcb
    findings = verdict.findings
    return {
        "evidence": _evidence(evidence),
        "at": _instant(verdict.now),
        "authentic": verdict.is_authentic,
        "acceptable": verdict.is_acceptable,
        "tcb_status": verdict.tcb_status and verdict.tcb_status.value,
        "tcb_date": _instant(verdict.tcb_date),
        "advisories": list(verdict.advisory_ids),
        "evaluation_number": collateral and collateral.evaluation_number,
        "earliest_expiry": _instant(verdict.earliest_expiry),
        "findings": [describe_finding(each) for each in findings],
        "notes": [describe_finding(each) for each in verdict.notes],
        "expired": [used.name for used in verdict.expired],
        "revocation": _revocation(verdict),
        "steps": [
            {
                "number": int(step),
                "title": step.title,
                "source": f"QVL {step.source}",
                "result": _result(step, verdict, findings),
                "found": describe_step(step, verdict),
            }
            for step in Step
            if step not in _OF_TDX
            or not isinstance(evidence.quote.body, SgxReportBody)
        ],
        "collateral": [
            _used(each) for each in (collateral.used if collateral else ())
        ],
        "platform": _platform(tcb) if tcb else None,
        "tcb": _tcb(tcb) if tcb else None,
        "claims": list_claims(verdict) if tcb else None,
    }


def account_for_report(
    evidence: SnpEvidence, verdict: SnpVerdict, instant: datetime
) -> Account:
    """
    Give an account of an SEV-SNP report's verdict as of *instant*.

    There is no minimum TCB to compare it with, and so no TCB status.
    """
    return {
        "evidence": _evidence(evidence),
        "at": _instant(instant),
        "authentic": verdict.is_authentic,
        "acceptable": verdict.is_authentic,
        "tcb_status": None,
        "tcb_date": None,
        "advisories": [],
        "evaluation_number": None,
        "findings": [describe_snp_finding(each) for each in verdict.findings],
        "notes": [revocation_gap(MISSING)] if verdict.notes else [],
        "expired": [],
        "revocation": MISSING if verdict.notes else CHECKED,
        "steps": [
            {
                "number": number,
                "title": title,
                "source": "AMD 56860",
                "result": _snp_result(number, verdict),
                "found": "",
            }
            for number, title in STEPS.items()
        ],
        "claims": list_snp_claims(verdict.claims) if verdict.claims else None,
    }


def account_for_nothing(finding: Finding) -> Account:
    """
    Give an account of what is no evidence.
    """
    return {
        **_NOTHING,
        "authentic": False,
        "findings": [describe_finding(finding)],
    }


def account_for_missing(
    reason: str, detail: str, evidence: Evidence | None = None
) -> Account:
    """
    Give an account of *evidence* that cannot be judged: what it takes is
    missing.
    """
    return {
        **_NOTHING,
        "evidence": _evidence(evidence) if evidence else None,
        "findings": [_collateral_finding(reason, detail)],
    }


def without_revocation(account: Account) -> Account:
    """
    Turn the *account* of evidence that nothing was found against into one that
    cannot be judged, where no valid revocation list had its say.
    """
    revocation = account["revocation"]
    if not account["authentic"] or revocation == CHECKED:
        return account
    detail = (
        f"a revocation list is {revocation}: nobody can say whether a key "
        "above this evidence is revoked"
    )
    gap = _collateral_finding(f"crl-{revocation}", detail)
    steps = [
        {**step, "found": f"{step['found']}, by a list that had ended"}
        if step["number"] == Step.REVOCATION
        else step
        for step in account["steps"]
    ]
    return {
        **account,
        "authentic": None,
        "acceptable": False,
        "findings": [gap, *account["findings"]],
        "steps": steps,
        "claims": None,
    }


def revocation_gap(revocation: str) -> Account:
    """
    Say of a report that AMD's revocation list is missing or expired.
    """
    detail = (
        f"AMD's revocation list is {revocation}: that the intermediate is not "
        "revoked was not checked"
    )
    return _collateral_finding(f"crl-{revocation}", detail)


def with_errors(account: Account, errors: Iterable[ThimError]) -> Account:
    """
    Add to the notes of an *account* what went wrong when newer collateral was
    asked for.
    """
    notes = [_collateral_finding(each.reason, str(each)) for each in errors]
    return {**account, "notes": [*account["notes"], *notes]}


def _collateral_finding(reason: str, detail: str) -> Account:
    return {
        "step": None,
        "reason": reason,
        "detail": detail,
        "component": "",
        "found": "",
        "needed": "",
        "advisories": [],
        "remedy": Remedy.COLLATERAL.value,
    }


_NOTHING: Final[Mapping[str, Any]] = {
    "evidence": None,
    "authentic": None,
    "acceptable": False,
    "tcb_status": None,
    "tcb_date": None,
    "advisories": [],
    "evaluation_number": None,
    "findings": [],
    "notes": [],
    "expired": [],
    "revocation": MISSING,
    "steps": [],
    "collateral": [],
    "claims": None,
}


def _evidence(evidence: Evidence) -> Account:
    claims = None
    if isinstance(evidence, QuoteEvidence):
        raw, claims = evidence.quote.raw, evidence.custom_claims
    else:
        raw = evidence.report.raw
    return {
        "kind": evidence.kind,
        "envelope": evidence.envelope or None,
        "size": len(raw),
        "custom_claims": None if claims is None else claims.hex(),
    }


def _revocation(verdict: Verdict) -> str:
    failed = verdict.failure.step if verdict.failure else Step.CONVERGENCE
    if verdict.collateral is None or failed < Step.REVOCATION:
        return MISSING
    is_expired = any(used.is_crl for used in verdict.expired)
    return EXPIRED if is_expired else CHECKED


def _result(step: Step, verdict: Verdict, findings: Sequence[Finding]) -> str:
    if verdict.failure is not None:
        if step == verdict.failure.step:
            return FAILED
        is_reached = step < verdict.failure.step and _is_taken(step, verdict)
        return OK if is_reached else NOT_REACHED
    if step is Step.CONVERGENCE:
        return OK if verdict.is_acceptable else BEHIND
    is_behind = any(each.step is step for each in findings)
    return BEHIND if is_behind or _is_level_behind(step, verdict) else OK


def _is_taken(step: Step, verdict: Verdict) -> bool:
    if verdict.collateral is not None:
        return True
    is_named = verdict.quote.pck_name is not None
    return step in (_WITHOUT_PCK if is_named else _WITHOUT_COLLATERAL)


def _is_level_behind(step: Step, verdict: Verdict) -> bool:
    """Tell whether what a TD was launched under is behind at this step."""
    launch = verdict.tcb.launch if verdict.tcb else None
    if launch is None or step not in {Step.PLATFORM_TCB, Step.MODULE_TCB}:
        return False
    if step is Step.PLATFORM_TCB:
        level = launch.platform
        return level is None or level.status not in ACCEPTABLE_STATUSES
    module = launch.module
    is_good = module is not None and module.status in ACCEPTABLE_STATUSES
    return launch.has_module and not is_good


def _snp_result(number: int, verdict: SnpVerdict) -> str:
    failed = {each.step for each in verdict.findings}
    if number in failed:
        return FAILED
    is_ended = any(step <= _LAST_TO_END for step in failed)
    return NOT_REACHED if is_ended and number > min(failed) else OK


def describe_finding(finding: Finding) -> Account:
    """
    Write a finding about a quote as an object.
    """
    return {
        "step": int(finding.step),
        "reason": finding.reason,
        "detail": finding.detail,
        "component": finding.component,
        "found": finding.found,
        "needed": finding.needed,
        "advisories": list(finding.advisory_ids),
        "remedy": finding.remedy and finding.remedy.value,
    }


def describe_snp_finding(finding: SnpFinding) -> Account:
    """
    Write a finding about an SEV-SNP report as an object.
    """
    return {
        "step": finding.step,
        "reason": finding.reason,
        "detail": finding.detail,
        "component": "",
        "found": finding.found,
        "needed": finding.expected,
        "advisories": [],
        "remedy": None,
    }


def _used(used: Used) -> Account:
    return {
        "document": used.name,
        "evaluation_number": used.evaluation_number,
        "issued": _instant(used.issued),
        "ends": _instant(used.ends),
        "sha256": used.sha256.hex(),
    }


def _platform(tcb: TcbVerdict) -> Account:
    # The PPID and the platform instance name the machine: they stay out.
    pck = tcb.pck
    return {
        "fmspc": pck.fmspc.hex().upper(),
        "pce_id": pck.pce_id.hex().upper(),
        "ca": pck.ca.value,
        "sgx_type": pck.sgx_type.name.lower().replace("_", "-"),
        "sgx_components": list(pck.components),
        "pcesvn": pck.pcesvn,
        "smt_enabled": pck.smt_enabled,
        "cached_keys": pck.cached_keys,
        "dynamic_platform": pck.dynamic_platform,
        "pck_not_after": _instant(pck.not_after),
    }


def _tcb(tcb: TcbVerdict) -> Account:
    return {
        name: {
            "status": found.status and found.status.value,
            "date": _instant(found.tcb_date),
            "advisories": list(found.advisory_ids),
        }
        for name, found in (("launch", tcb.launch), ("current", tcb.current))
    }


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%FT%TZ}"
