"""
Whether a verified SEV-SNP report is good enough for a provider.

1. The report is authentic.  What only time may heal, such as a certificate
   that is not valid yet or our own revocation list, is not held against it.
2. AMD's revocation list had its say, as far as the provider asks for it.
3. The reported TCB is at the minimum of the baseline.

A guest that may be debugged is not refused: that is a claim, for policies.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Final

from thim.attestation.account import CHECKED, EXPIRED, MISSING
from thim.attestation.minimum import find_silicon
from thim.baseline.minimum import list_shortfalls, list_unjudged
from thim.baseline.provider import ExpiredRule


if TYPE_CHECKING:
    from datetime import datetime

    from thim.amd.verdict import Claims, Finding, Verdict
    from thim.baseline.minimum import Shortfall
    from thim.baseline.model import Baseline
    from thim.baseline.provider import Provider
    from thim.collateral.ports import Held

#: AMD's step for the leaf, its chain and the list.
_CHAIN: Final = 4
_LIST: Final = "crl-"
_EARLY: Final = "-not-yet-valid"


class SnpBlame(enum.Enum):
    """
    Why there is no token: what was sent as its key cannot have signed the
    report (``chain``), or is not what it seems (``report``); the guest's
    platform is behind (``tcb``); or we cannot tell now (``later``).
    """

    CHAIN = "chain"
    REPORT = "report"
    TCB = "tcb"
    LATER = "later"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnpRejection:
    """
    Why a report is not accepted.

    Attributes:
        blame: Whose fault it is.
        reason: A short stable name in kebab-case.
        detail: The same for people.
        findings: What was found against an authentic report's key or bytes.
        shortfalls: The components that are below the minimum.
    """

    blame: SnpBlame
    reason: str
    detail: str
    findings: tuple[Finding, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnpAppraisal:
    """
    What became of a report.

    Attributes:
        rejection: Why it is not accepted; None where it is.
        revocation: Whether AMD's list was ``checked``, had ``expired``, or is
            ``missing``.
        accepted_expired: The names of documents that had ended and decided
            all the same.
        judged: The components of the TCB for which there is a minimum, in
            all of which the accepted report is at it.
    """

    rejection: SnpRejection | None
    revocation: str
    accepted_expired: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Whether the report is good enough."""
        return self.rejection is None


def appraise_snp(
    verdict: Verdict,
    crl: Held | None,
    baseline: Baseline,
    provider: Provider,
    now: datetime,
) -> SnpAppraisal:
    """
    Appraise the *verdict* of a report as of the instant *now*.

    Args:
        verdict: Of the report, its key, and the list in so far as it is valid.
        crl: AMD's revocation list; None where there is none.
        baseline: Its minimum counts.
        provider: For whom.
        now: The instant of the verdict.
    """
    ends = crl.next_update if crl else None
    revocation = _find_revocation(ends, now)
    claims = verdict.claims
    if claims is None:
        rejection = _reject(verdict.findings)
        return SnpAppraisal(rejection=rejection, revocation=revocation)
    gap = _find_gap(ends, provider, now)
    if gap is not None:
        return SnpAppraisal(rejection=gap, revocation=revocation)
    judged, short = _compare(claims, baseline)
    if short:
        rejection = _fall_short(short, baseline)
        return SnpAppraisal(rejection=rejection, revocation=revocation)
    names = (str(crl.key),) if crl and revocation == EXPIRED else ()
    return SnpAppraisal(
        rejection=None,
        revocation=revocation,
        accepted_expired=names,
        judged=judged,
    )


def _find_revocation(ends: datetime | None, now: datetime) -> str:
    if ends is None:
        return MISSING
    return CHECKED if now < ends else EXPIRED


def _reject(findings: tuple[Finding, ...]) -> SnpRejection:
    first = findings[0]
    if first.step != _CHAIN:
        blame = SnpBlame.REPORT
    elif first.reason.startswith(_LIST) or first.reason.endswith(_EARLY):
        # AMD has signed it: the clock is wrong, or the store.
        blame = SnpBlame.LATER
    else:
        blame = SnpBlame.CHAIN
    detail = "; ".join(each.detail for each in findings)
    return SnpRejection(
        blame=blame, reason=first.reason, detail=detail, findings=findings
    )


def _find_gap(
    ends: datetime | None, provider: Provider, now: datetime
) -> SnpRejection | None:
    # AMD's lists name intermediates alone, of which there are a few in the
    # world: that there is none is told, and asked for by the strict only.
    rule = provider.expired
    if ends is None:
        if rule is not ExpiredRule.REFUSE:
            return None
        detail = (
            "AMD's revocation list is missing, and the provider asks for it"
        )
        return _later(f"{_LIST}{MISSING}", detail)
    if now < ends or rule is ExpiredRule.ACCEPT:
        return None
    if rule is ExpiredRule.ARCHIVED_ONLY and now <= ends + provider.crl_grace:
        return None
    detail = f"AMD's revocation list has ended at {ends:%FT%TZ}"
    return _later(f"{_LIST}{EXPIRED}", detail)


def _later(reason: str, detail: str) -> SnpRejection:
    return SnpRejection(blame=SnpBlame.LATER, reason=reason, detail=detail)


def _compare(
    claims: Claims, baseline: Baseline
) -> tuple[tuple[str, ...], tuple[Shortfall, ...]]:
    minimum = baseline.minimums.get(claims.product)
    if minimum is None:
        return (), ()
    tcb, silicon = claims.tcbs.reported, find_silicon(claims)
    unjudged = list_unjudged(tcb, minimum, silicon)
    judged = (c for c in claims.product.components if c not in unjudged)
    return tuple(judged), tuple(list_shortfalls(tcb, minimum, silicon))


def _fall_short(
    short: tuple[Shortfall, ...], baseline: Baseline
) -> SnpRejection:
    parts = (
        f"{each.component} is {each.found}, {each.needed} is needed "
        f"({each.source})"
        for each in short
    )
    return SnpRejection(
        blame=SnpBlame.TCB,
        reason="below-minimum",
        detail=f"below the minimum of baseline {baseline.name}: "
        f"{'; '.join(parts)}",
        shortfalls=short,
    )
