"""
How one platform stands under the documents of a number, and why.

The same as ``baseline.impact`` says of a whole fleet, without its arrays.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.standing import Standing
from thim.intel.evaluation import converge, find_isv_level
from thim.intel.quote_collateral import QUOTING
from thim.intel.shortfalls import (
    CONFIGURATION,
    find_configuration,
    list_module_shortfalls,
    list_platform_shortfalls,
    list_qe_shortfalls,
)
from thim.intel.steps import Finding, Remedy, Step


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from thim.intel.names import Tee
    from thim.intel.tcb import IsvLevel, Tcb
    from thim.intel.tcb_table import TcbTable


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """
    A TCB info as platforms are judged by it.

    Attributes:
        signed: The bytes that Intel signed of it.
        table: Its levels.
        modules: The levels of the TDX modules by their version, highest first.
    """

    signed: bytes = dataclasses.field(repr=False)
    table: TcbTable = dataclasses.field(repr=False)
    modules: Mapping[int, Sequence[IsvLevel]] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """
    What platforms of one *fmspc* (6 bytes) are judged by for *tee*: *levels*
    and the quoting enclave's *identity*, highest first, of *number*; None
    where it is not there.
    """

    number: int
    tee: Tee
    fmspc: bytes
    levels: Levels | None
    identity: Sequence[IsvLevel] | None


def stand(tcb: Tcb, qe_svn: int | None, measure: Measure) -> Standing:
    """
    Say how a platform stands that has *tcb*, and a quoting enclave with
    *qe_svn*; where that is None it is taken for up to date.
    """
    levels, identity = measure.levels, measure.identity
    if levels is None or (qe_svn is not None and identity is None):
        return Standing.NO_DOCUMENT
    level = levels.table.find(tcb)
    parts = []
    if tcb.tdx and tcb.tdx[1]:
        modules = levels.modules.get(tcb.tdx[1], ())
        parts.append(find_isv_level(modules, tcb.tdx[0]))
    if qe_svn is not None and identity is not None:
        parts.append(find_isv_level(identity, qe_svn))
    statuses = [part.status for part in parts if part is not None]
    if level is None or len(statuses) < len(parts):
        return Standing.BELOW_EVERY_LEVEL
    return Standing.of(converge(level.status, statuses))


def explain(
    tcb: Tcb, qe_svn: int | None, measure: Measure
) -> tuple[Finding, ...]:
    """
    List what a platform lacks that has *tcb*, and a quoting enclave with
    *qe_svn*, None where it is not known.
    """
    levels = measure.levels
    if levels is None:
        tee, fmspc = measure.tee.value, measure.fmspc.hex().upper()
        what = f"TCB info of {tee} for the FMSPC {fmspc}"
        return (_missing(Step.TCB_INFO, what, measure.number),)
    level = levels.table.find(tcb)
    found = list(
        list_platform_shortfalls(tcb, level, levels.table.levels, levels.signed)
    )
    if tcb.tdx:
        modules = levels.modules.get(tcb.tdx[1], ())
        module = find_isv_level(modules, tcb.tdx[0])
        found += list_module_shortfalls(tcb.tdx, module, modules)
    if qe_svn is not None:
        found += _list_qe_shortfalls(qe_svn, measure)
    if level is not None and level.status in CONFIGURATION:
        found.append(find_configuration(level))
    return tuple(found)


def _list_qe_shortfalls(svn: int, measure: Measure) -> Iterator[Finding]:
    levels = measure.identity
    if levels is None:
        what = f"identity of {QUOTING[measure.tee].value}"
        yield _missing(Step.IDENTITY, what, measure.number)
    else:
        yield from list_qe_shortfalls(svn, find_isv_level(levels, svn), levels)


def _missing(step: Step, what: str, number: int) -> Finding:
    return Finding(
        step=step,
        reason="no-document",
        detail=f"the {what} of the TCB evaluation data number {number} is "
        "not in the archive",
        component=what,
        remedy=Remedy.COLLATERAL,
    )
