"""
What a verdict says to people: which component is behind, by how much, what
Intel says of it, and what mends it.

Nothing here decides anything; it is worked out when somebody asks.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.intel.report_body import SgxReportBody, Td15Body
from thim.intel.shortfalls import (
    CONFIGURATION,
    find_configuration,
    list_module_shortfalls,
    list_platform_shortfalls,
    list_qe_shortfalls,
)
from thim.intel.steps import Finding, Remedy, Step
from thim.intel.tcb import CURRENT_STATUSES, TcbStatus


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.intel.evaluation import Evaluation, TcbVerdict
    from thim.intel.quote import Quote
    from thim.intel.quote_collateral import Collateral
    from thim.intel.report_body import ReportBody
    from thim.intel.tcb import TcbLevel

_HARDENING: Final = frozenset(
    {
        TcbStatus.SW_HARDENING_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
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
    yield from list_platform_shortfalls(
        dataclasses.replace(tcb.pck.tcb, tdx=svns),
        tcb.current.platform,
        collateral.table.levels,
        collateral.tcb_info_signed,
    )
    if tcb.current.has_module:
        yield from list_module_shortfalls(
            svns, tcb.current.module, collateral.module_levels(svns[1])
        )
    yield from list_qe_shortfalls(
        quote.qe_report.isvsvn, tcb.launch.qe, collateral.identity_levels
    )
    if _is_behind(tcb.launch) and not _is_behind(tcb.current):
        yield _relaunch(quote.body, tcb)
    for level in (tcb.current.platform, tcb.launch.platform):
        if level is not None and level.status in CONFIGURATION:
            yield find_configuration(level)
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
