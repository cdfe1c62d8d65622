"""
Whether verified evidence is good enough for a provider.

Three questions in this order, each with its own kind of answer: is the
evidence authentic, may the documents that say so still decide, and is the TCB
at the baseline.  Each refusal begins with Azure Attestation's sentence and
goes on with what was found, what is needed and who can mend it.

What our own collateral lacks is never held against the evidence: a retry may
help then.  What no retry can help is the caller's or the operator's.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.account import describe_finding, describe_snp_finding
from thim.attestation.maa_code import (
    INVALID_PARAMETER,
    INVALID_QUOTE,
    SERVICE_UNAVAILABLE,
)
from thim.baseline.provider import ExpiredRule
from thim.intel.names import Tee
from thim.intel.quote_collateral import NOT_YET_ISSUED
from thim.intel.steps import Finding, Step
from thim.intel.tcb import TcbStatus
from thim.x509.chain import EARLY


if TYPE_CHECKING:
    from thim.amd.verdict import Finding as SnpFinding
    from thim.attestation.binding import BindingError
    from thim.baseline.provider import Provider
    from thim.errors import ThimError
    from thim.intel.evaluation import TcbVerdict
    from thim.intel.quote_collateral import Used
    from thim.intel.verdict import Verdict

_INVALID: Final = "The specified quote was invalid"
OF_COLLATERAL: Final = f"{_INVALID} due to an error in the quote collateral"
OF_TCB: Final = (
    f"{_INVALID} because the device on which the quote was generated does not "
    "meet the Azure baseline requirements"
)
OF_DOCUMENTS: Final = (
    f"{_INVALID} because the TCBInfo or QEID provided by the PCK Cache "
    "Service was invalid"
)
OF_BINDING: Final = f"{_INVALID} because it does not match the data sent along"


class Refusal(enum.Enum):
    """
    Why evidence is refused: it is not authentic or no evidence at all, its TCB
    is below the baseline, collateral rules it out for good, it does not speak
    for the data sent along, or our own collateral is not current.
    """

    EVIDENCE = "evidence"
    TCB = "tcb"
    COLLATERAL = "collateral"
    BINDING = "binding"
    TRANSIENT = "transient"


_CODES: Final = {
    Refusal.EVIDENCE: INVALID_QUOTE,
    Refusal.TCB: INVALID_PARAMETER,
    Refusal.COLLATERAL: INVALID_PARAMETER,
    Refusal.BINDING: INVALID_PARAMETER,
    Refusal.TRANSIENT: SERVICE_UNAVAILABLE,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """
    Why there is no token.

    Attributes:
        kind: Whose fault it is.
        sentence: Azure's sentence, or ours in its form.
        detail: What was found, and what is needed.
        findings: The same in parts.
    """

    kind: Refusal
    sentence: str
    detail: str
    findings: tuple[Finding | SnpFinding, ...] = ()

    @property
    def code(self) -> str:
        """Azure's error code."""
        is_of_chain = self.sentence == OF_COLLATERAL
        if is_of_chain and self.kind is Refusal.EVIDENCE:
            return INVALID_PARAMETER  # as that sentence has it in Azure
        return _CODES[self.kind]

    @property
    def message(self) -> str:
        """Both in one, the sentence first."""
        return f"{self.sentence}: {self.detail}"

    def describe(self) -> dict[str, Any]:
        """
        Write what is beyond Azure's form as an object for JSON.
        """
        findings = [
            describe_finding(each)
            if isinstance(each, Finding)
            else describe_snp_finding(each)
            for each in self.findings
        ]
        return {
            "kind": self.kind.value,
            "detail": self.detail,
            "findings": findings,
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """
    What became of appraising evidence.

    Attributes:
        rejection: Why it is refused; None if it is accepted.
        accepted_expired: The documents that had ended and decided all the
            same.
    """

    rejection: Rejection | None = None
    accepted_expired: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Whether there may be a token."""
        return self.rejection is None


def appraise(
    verdict: Verdict, provider: Provider, *, is_withdrawn: bool
) -> Appraisal:
    """
    Appraise a quote by its *verdict*, as of the instant of that.

    *is_withdrawn* tells whether the evaluation number that was chosen is one
    that the vendor does not sign any more (``thim.baseline.choice.Choice``).
    """
    if verdict.failure is not None:
        return Appraisal(rejection=reject_finding(verdict.failure))
    barred = [
        used
        for used in verdict.expired
        if not _may_decide(used, verdict, provider, is_withdrawn=is_withdrawn)
    ]
    if barred:
        rejection = _reject_expired(
            barred, verdict, provider, is_withdrawn=is_withdrawn
        )
        return Appraisal(rejection=rejection)
    names = tuple(used.name for used in verdict.expired)
    if not _is_at_baseline(verdict.tcb, _statuses(verdict, provider)):
        return Appraisal(rejection=_reject_tcb(verdict, provider))
    return Appraisal(accepted_expired=names)


def _may_decide(
    used: Used, verdict: Verdict, provider: Provider, *, is_withdrawn: bool
) -> bool:
    """Tell whether a document that has ended may decide all the same."""
    if provider.expired is ExpiredRule.ACCEPT:
        return True
    if provider.expired is ExpiredRule.REFUSE:
        return False
    if used.is_crl:
        return verdict.now <= used.ends + provider.crl_grace
    return is_withdrawn and _is_of_number(used, verdict)


def _is_of_number(used: Used, verdict: Verdict) -> bool:
    collateral = verdict.collateral
    return (
        collateral is not None
        and used.evaluation_number == collateral.evaluation_number
    )


def _statuses(verdict: Verdict, provider: Provider) -> frozenset[TcbStatus]:
    if verdict.quote.tee is Tee.SGX:
        return provider.sgx_statuses
    return provider.tdx_statuses


def _is_at_baseline(
    tcb: TcbVerdict | None, statuses: frozenset[TcbStatus]
) -> bool:
    """
    Tell whether the TCB is good enough: its status, and the QE's own, which a
    platform's can hide.
    """
    if tcb is None or tcb.status is None or tcb.launch.qe is None:
        return False
    qe = tcb.launch.qe.status
    is_qe_good = qe is TcbStatus.UP_TO_DATE or qe in statuses
    return tcb.status in statuses and is_qe_good


def _reject_expired(
    barred: list[Used],
    verdict: Verdict,
    provider: Provider,
    *,
    is_withdrawn: bool,
) -> Rejection:
    # Nobody will ever issue a document of a withdrawn number again.
    is_final = is_withdrawn and any(
        _is_of_number(used, verdict) for used in barred
    )
    names = {used.name for used in barred}
    is_of_crls = all(used.is_crl for used in barred)
    ended = ", ".join(
        f"the {used.name} had ended at {used.ends:%FT%TZ}" for used in barred
    )
    return Rejection(
        kind=Refusal.COLLATERAL if is_final else Refusal.TRANSIENT,
        sentence=OF_COLLATERAL if is_of_crls else OF_DOCUMENTS,
        detail=f"{ended}; this provider has the settings expired = "
        f"{provider.expired.value} and crl_grace = {provider.crl_grace.days}d",
        findings=tuple(
            each
            for each in verdict.notes
            if each.reason == "expired" and each.component in names
        ),
    )


def _reject_tcb(verdict: Verdict, provider: Provider) -> Rejection:
    # Where a provider asks for more than usual, the notes say what is short.
    findings = verdict.findings or tuple(
        each for each in verdict.notes if each.step >= Step.PLATFORM_TCB
    )
    status, collateral = verdict.tcb_status, verdict.collateral
    number = collateral.evaluation_number if collateral else None
    found = (
        f"TCB status is {status.value}" if status else "it is at no TCB level"
    )
    wanted = sorted(each.value for each in _statuses(verdict, provider))
    headline = (
        f"{found} by the TCB evaluation data number {number}, expected "
        f"{' or '.join(wanted)}"
    )
    parts = [headline, *map(_spell, findings)]
    return Rejection(
        kind=Refusal.TCB,
        sentence=OF_TCB,
        detail="; ".join(parts),
        findings=findings,
    )


def _spell(finding: Finding) -> str:
    text = finding.component or finding.detail
    if finding.found or finding.needed:
        text += f" is {finding.found or 'none'}"
    if finding.needed:
        text += f", needed is {finding.needed}"
    if finding.advisory_ids:
        text += f" ({', '.join(finding.advisory_ids)})"
    return text


#: What failed at these steps, and what that says of whom.  A revocation list
#: that is none of the chain's CAs, and a document or a certificate of the
#: future, are ours: the clock is behind.
_BY_STEP: Final = {
    Step.PCK_CHAIN: (Refusal.EVIDENCE, OF_COLLATERAL),
    Step.CRLS: (Refusal.TRANSIENT, OF_COLLATERAL),
    Step.REVOCATION: (Refusal.EVIDENCE, OF_COLLATERAL),
    Step.TCB_INFO: (Refusal.TRANSIENT, OF_DOCUMENTS),
    Step.IDENTITY: (Refusal.TRANSIENT, OF_DOCUMENTS),
    Step.PLATFORM: (Refusal.COLLATERAL, OF_DOCUMENTS),
}
_BY_REASON: Final = {
    NOT_YET_ISSUED: (Refusal.TRANSIENT, OF_DOCUMENTS),
    EARLY: (Refusal.TRANSIENT, OF_COLLATERAL),
    "tdx-module-unknown": (Refusal.TCB, OF_TCB),
}


def reject_finding(finding: Finding) -> Rejection:
    """
    Refuse evidence for the step of verification that does not hold.
    """
    kind, sentence = _BY_REASON.get(finding.reason) or _BY_STEP.get(
        finding.step, (Refusal.EVIDENCE, _INVALID)
    )
    return Rejection(
        kind=kind,
        sentence=sentence,
        detail=f"{finding.detail} (step {int(finding.step)}: "
        f"{finding.step.title}, does not hold)",
        findings=(finding,),
    )


def reject_unreadable(error: ThimError) -> Rejection:
    """
    Refuse what cannot be read as the evidence that it should be.
    """
    finding = Finding(step=Step.LAYOUT, reason=error.reason, detail=str(error))
    return Rejection(
        kind=Refusal.EVIDENCE,
        sentence=_INVALID,
        detail=finding.detail,
        findings=(finding,),
    )


def reject_unbound(error: BindingError) -> Rejection:
    """
    Refuse evidence that does not speak for the data sent along.
    """
    finding = Finding(
        step=Step.LAYOUT,
        reason=error.reason,
        detail=str(error),
        component=error.field,
        found=error.found,
        needed=error.needed,
    )
    return Rejection(
        kind=Refusal.BINDING,
        sentence=OF_BINDING,
        detail=finding.detail,
        findings=(finding,),
    )


def list_dangers(provider: Provider) -> tuple[str, ...]:
    """
    List which settings of *provider* a token must warn of.
    """
    if provider.expired is ExpiredRule.ACCEPT:
        return ("accept-expired",)
    return ()
