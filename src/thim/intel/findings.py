"""
What a verdict says to people: which component is behind, by how much, what
Intel says of it, and what mends it.

Nothing here decides anything; it is worked out when somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.intel.components import Components
from thim.intel.report_body import SgxReportBody, Td15Body
from thim.intel.steps import Finding, Remedy, Step
from thim.intel.tcb import (
    ACCEPTABLE_STATUSES,
    CURRENT_STATUSES,
    TcbStatus,
)


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.intel.components import Component
    from thim.intel.evaluation import Evaluation, TcbVerdict
    from thim.intel.pck import PckCertificate
    from thim.intel.quote import Quote
    from thim.intel.quote_collateral import Collateral
    from thim.intel.report_body import ReportBody
    from thim.intel.tcb import IsvLevel, TcbLevel

_HARDENING: Final = frozenset(
    {
        TcbStatus.SW_HARDENING_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    }
)
_CONFIGURATION: Final = frozenset(
    {
        TcbStatus.CONFIGURATION_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    }
)


def list_shortfalls(
    quote: Quote, tcb: TcbVerdict, collateral: Collateral
) -> Iterator[Finding]:
    """
    List what an authentic quote's TCB lacks to be at the baseline.

    What has to be updated is told by what runs now; what was updated since a
    TD was launched wants it to be launched again.
    """
    svns = _svns_now(quote.body)
    yield from _platform_shortfalls(svns, tcb.current, tcb.pck, collateral)
    yield from _module_shortfalls(svns, tcb.current, collateral)
    yield from _qe_shortfalls(quote, tcb, collateral)
    if _is_behind(tcb.launch) and not _is_behind(tcb.current):
        yield _relaunch(quote.body, tcb)
    for level in (tcb.current.platform, tcb.launch.platform):
        if level is not None and level.status in _CONFIGURATION:
            yield _configuration(level)
            break


def _svns_now(body: ReportBody) -> bytes:
    """Return the TDX SVNs that run now; none for an enclave."""
    if isinstance(body, SgxReportBody):
        return b""
    if isinstance(body, Td15Body):
        return body.tee_tcb_svn_2
    return body.tee_tcb_svn


def _is_behind(evaluation: Evaluation) -> bool:
    """Tell whether platform or module are behind, whatever the QE is."""
    platform, module = evaluation.platform, evaluation.module
    if platform is None or platform.status not in CURRENT_STATUSES:
        return True
    is_good = module is not None and module.status is TcbStatus.UP_TO_DATE
    return evaluation.has_module and not is_good


def _platform_shortfalls(
    svns: bytes, evaluation: Evaluation, pck: PckCertificate, known: Collateral
) -> Iterator[Finding]:
    level = evaluation.platform
    if level is not None and level.status in CURRENT_STATUSES:
        return
    target = _find_target(known.table.levels, level)
    if target is None:
        yield _hopeless(level)
        return
    there = set(level.advisory_ids) if level else set()
    advisories = tuple(sorted(there - set(target.advisory_ids)))
    names = Components.from_json(known.tcb_info_signed)
    for name, found, needed, remedy in _list_behind(names, pck, svns, target):
        yield Finding(
            step=Step.PLATFORM_TCB,
            reason="component-behind" if level else "no-tcb-level",
            detail=f"{name} has the SVN {found}, {needed} is needed",
            component=name,
            found=str(found),
            needed=str(needed),
            advisory_ids=advisories,
            remedy=remedy,
        )


def _find_target(
    levels: Sequence[TcbLevel], level: TcbLevel | None
) -> TcbLevel | None:
    """
    Return the nearest level above *level* that is good enough: one that is at
    the baseline, else one that has its TCB.
    """
    end = len(levels) if level is None else levels.index(level)
    above = levels[:end][::-1]
    for wanted in (ACCEPTABLE_STATUSES, CURRENT_STATUSES):
        for candidate in above:
            if candidate.status in wanted:
                return candidate
    return None


def _hopeless(level: TcbLevel | None) -> Finding:
    where = f"is {level.status.value}" if level else "is below every level"
    return Finding(
        step=Step.PLATFORM_TCB,
        reason="no-better-level" if level else "no-tcb-level",
        detail=f"the platform {where}, and its TCB info has no better one "
        "that is good enough",
        component="platform",
        found=level.status.value if level else "without a level",
        needed=TcbStatus.UP_TO_DATE.value,
        advisory_ids=tuple(sorted(level.advisory_ids)) if level else (),
    )


def _list_behind(
    names: Components, pck: PckCertificate, svns: bytes, target: TcbLevel
) -> Iterator[tuple[str, int, int, Remedy]]:
    """List which SVNs are below those of *target*: name, found, needed."""
    yield from _compare(names.sgx, pck.components, target.tcb.sgx)
    if pck.pcesvn < target.tcb.pcesvn:
        yield "PCESVN", pck.pcesvn, target.tcb.pcesvn, Remedy.PSW
    if svns:
        skipped = 2 if svns[1] else 0
        yield from _compare(
            names.tdx[skipped:], svns[skipped:], target.tcb.tdx[skipped:]
        )


def _compare(
    names: Sequence[Component], found: bytes, needed: bytes
) -> Iterator[tuple[str, int, int, Remedy]]:
    for component, have, want in zip(names, found, needed, strict=True):
        if have < want:
            yield component.name, have, want, component.remedy


def _module_shortfalls(
    svns: bytes, evaluation: Evaluation, collateral: Collateral
) -> Iterator[Finding]:
    level = evaluation.module
    if not evaluation.has_module:
        return
    if level is None or level.status is not TcbStatus.UP_TO_DATE:
        svn, version = svns[:2]
        yield _isv_finding(
            Step.MODULE_TCB,
            f"TDX module {version}.x",
            svn,
            level,
            collateral.module_levels(version),
            Remedy.TDX_MODULE,
        )


def _qe_shortfalls(
    quote: Quote, tcb: TcbVerdict, collateral: Collateral
) -> Iterator[Finding]:
    level = tcb.launch.qe
    if level is None or level.status is not TcbStatus.UP_TO_DATE:
        yield _isv_finding(
            Step.QE_TCB,
            "quoting enclave",
            quote.qe_report.isvsvn,
            level,
            collateral.identity_levels,
            Remedy.PSW,
        )


def _isv_finding(  # noqa: PLR0913, PLR0917 - the parts of one sentence
    step: Step,
    what: str,
    found: int,
    level: IsvLevel | None,
    levels: Sequence[IsvLevel],
    remedy: Remedy,
) -> Finding:
    target = min(
        (
            each
            for each in levels
            if each.status is TcbStatus.UP_TO_DATE and each.isvsvn > found
        ),
        key=lambda each: each.isvsvn,
        default=None,
    )
    there = set(level.advisory_ids) if level else set()
    gone = there - set(target.advisory_ids) if target else there
    status = level.status.value if level else "without a level"
    hint = f", {target.isvsvn} is needed" if target else ""
    return Finding(
        step=step,
        reason="isvsvn-behind" if level else "no-tcb-level",
        detail=f"the {what} with the ISVSVN {found} is {status}{hint}",
        component=f"{what} ISVSVN",
        found=str(found),
        needed=str(target.isvsvn) if target else "",
        advisory_ids=tuple(sorted(gone)),
        remedy=remedy,
    )


def _configuration(level: TcbLevel) -> Finding:
    return Finding(
        step=Step.PLATFORM_TCB,
        reason="configuration-needed",
        detail="the platform may have to be configured otherwise, as the "
        "advisories say (often in the BIOS: hyper-threading, undervolting)",
        component="platform configuration",
        found=level.status.value,
        needed=TcbStatus.UP_TO_DATE.value,
        advisory_ids=tuple(sorted(level.advisory_ids)),
        remedy=Remedy.CONFIGURATION,
    )


def _relaunch(body: ReportBody, tcb: TcbVerdict) -> Finding:
    launch = b"" if isinstance(body, SgxReportBody) else body.tee_tcb_svn
    return Finding(
        step=Step.CONVERGENCE,
        reason="relaunch-advised",
        detail="the platform has been updated since the TD was launched: "
        "launch it again",
        component="TEE_TCB_SVN",
        found=launch.hex(),
        needed=_svns_now(body).hex(),
        advisory_ids=tcb.launch.advisory_ids,
        remedy=Remedy.RELAUNCH,
    )


def list_notes(
    now: datetime, tcb: TcbVerdict | None, collateral: Collateral
) -> Iterator[Finding]:
    """
    List what is no failure, but worth knowing.
    """
    for used in collateral.expired(now):
        yield Finding(
            step=used.step,
            reason="expired",
            detail=f"the {used.name} had ended at {used.ends:%FT%TZ}",
            component=used.name,
            found=f"{used.ends:%FT%TZ}",
            needed=f"{now:%FT%TZ} or later",
            remedy=Remedy.COLLATERAL,
        )
    ours = collateral.evaluation_number
    other = collateral.identity.tcb_evaluation_data_number
    if ours != other:
        yield _differ(ours, other)
    level = tcb.launch.platform if tcb else None
    if level is not None and level.status in _HARDENING:
        yield _hardening(level)
    status = tcb.current.status if tcb else None
    if tcb and status and _is_behind(tcb.current) > _is_behind(tcb.launch):
        yield _older_now(status, tcb.current)


def _differ(ours: int | None, other: int) -> Finding:
    return Finding(
        step=Step.IDENTITY,
        reason="numbers-differ",
        detail=f"the TCB info is of the TCB evaluation data number {ours}, "
        f"the identity of {other}: they were not made for each other",
        component="TCB evaluation data number",
        found=str(other),
        needed=str(ours),
        remedy=Remedy.COLLATERAL,
    )


def _older_now(status: TcbStatus, current: Evaluation) -> Finding:
    return Finding(
        step=Step.CONVERGENCE,
        reason="current-behind",
        detail=f"what the TD runs under now is {status.value}; QVL goes by "
        "what it was launched under",
        component="TEE_TCB_SVN_2",
        found=status.value,
        advisory_ids=current.advisory_ids,
    )


def _hardening(level: TcbLevel) -> Finding:
    return Finding(
        step=Step.PLATFORM_TCB,
        reason="sw-hardening-needed",
        detail="enclaves on this platform must be built with mitigations, as "
        "the advisories say",
        component="enclave software",
        advisory_ids=tuple(sorted(level.advisory_ids)),
        remedy=Remedy.SOFTWARE,
    )
