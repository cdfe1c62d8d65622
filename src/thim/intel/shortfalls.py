"""
What a TCB lacks to be at the baseline, part by part: the platform, its TDX
module, its quoting enclave.

That is so for a quote as it is for a machine that nobody has a quote of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.intel.components import Components
from thim.intel.steps import Finding, Remedy, Step
from thim.intel.tcb import (
    ACCEPTABLE_STATUSES,
    CURRENT_STATUSES,
    TcbStatus,
)


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.intel.components import Component
    from thim.intel.tcb import IsvLevel, Tcb, TcbLevel

#: What wants another configuration, whatever else it wants.
CONFIGURATION: Final = frozenset(
    {
        TcbStatus.CONFIGURATION_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    }
)


def list_platform_shortfalls(
    tcb: Tcb,
    level: TcbLevel | None,
    levels: Sequence[TcbLevel],
    tcb_info: bytes,
) -> Iterator[Finding]:
    """
    List what a platform with *tcb* lacks, which is at *level*.

    Args:
        tcb: What it has.
        level: Its level; None beneath all of them.
        levels: All levels, the highest first.
        tcb_info: The signed bytes that they are from, which name components.
    """
    if level is not None and level.status in CURRENT_STATUSES:
        return
    target = _find_target(levels, level)
    if target is None:
        yield _hopeless(level)
        return
    there = set(level.advisory_ids) if level else set()
    advisories = tuple(sorted(there - set(target.advisory_ids)))
    names = Components.from_json(tcb_info)
    for name, found, needed, remedy in _list_behind(names, tcb, target.tcb):
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
    names: Components, tcb: Tcb, target: Tcb
) -> Iterator[tuple[str, int, int, Remedy]]:
    """List which SVNs are below those of *target*: name, found, needed."""
    yield from _compare(names.sgx, tcb.sgx, target.sgx)
    if tcb.pcesvn < target.pcesvn:
        yield "PCESVN", tcb.pcesvn, target.pcesvn, Remedy.PSW
    if tcb.tdx:
        skipped = 2 if tcb.tdx[1] else 0
        yield from _compare(
            names.tdx[skipped:], tcb.tdx[skipped:], target.tdx[skipped:]
        )


def _compare(
    names: Sequence[Component], found: bytes, needed: bytes
) -> Iterator[tuple[str, int, int, Remedy]]:
    for component, have, want in zip(names, found, needed, strict=True):
        if have < want:
            yield component.name, have, want, component.remedy


def list_module_shortfalls(
    tee_tcb_svn: bytes, level: IsvLevel | None, levels: Sequence[IsvLevel]
) -> Iterator[Finding]:
    """
    List what a TDX module lacks that is at *level* of *levels*; one of
    version 0 has none, and lacks nothing.
    """
    svn, version = tee_tcb_svn[:2]
    if version and _is_short(level):
        yield _isv_finding(
            Step.MODULE_TCB,
            f"TDX module {version}.x",
            svn,
            level,
            levels,
            Remedy.TDX_MODULE,
        )


def list_qe_shortfalls(
    isvsvn: int, level: IsvLevel | None, levels: Sequence[IsvLevel]
) -> Iterator[Finding]:
    """
    List what a quoting enclave lacks that is at *level* of *levels*.
    """
    if _is_short(level):
        yield _isv_finding(
            Step.QE_TCB, "quoting enclave", isvsvn, level, levels, Remedy.PSW
        )


def _is_short(level: IsvLevel | None) -> bool:
    return level is None or level.status is not TcbStatus.UP_TO_DATE


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


def find_configuration(level: TcbLevel) -> Finding:
    """
    Say that the configuration of a platform at *level* may have to be another.
    """
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
