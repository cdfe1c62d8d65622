"""
Why a platform is not acceptable under a set of collateral.

Platforms with the same TCB have the same reasons: they are worked out once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.intel.evaluation import find_isv_level
from thim.intel.kept import Kept
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
    from collections.abc import Iterator

    from thim.baseline.documents import DocumentSet
    from thim.baseline.fleet import Fleet
    from thim.intel.names import Tee
    from thim.intel.tcb import Tcb

#: A fleet has few TCBs: one for each level that Intel has certificates for.
_MOST_KEPT: Final = 4096


class Explainer:
    """
    Explains by *documents* how rows of *fleet* stand.
    """

    def __init__(self, fleet: Fleet, documents: DocumentSet) -> None:
        self._fleet = fleet
        self._documents = documents
        self._kept: Kept[object, tuple[Finding, ...]] = Kept(_MOST_KEPT)

    def explain(self, row: int, tee: Tee) -> tuple[Finding, ...]:
        """
        List what a row lacks for *tee*; its TDX SVNs must be known for that.
        """
        fmspc = self._fleet.fmspc(row)
        tcb = self._fleet.tcb(row, tee)
        qe_svn = self._fleet.qe_svn(row, tee)
        kind = (tee, fmspc, tcb, qe_svn)
        found = self._kept.find(kind)
        if found is None:
            found = explain(tcb, qe_svn, tee, fmspc, self._documents)
            self._kept.keep(kind, found)
        return found


def explain(
    tcb: Tcb, qe_svn: int | None, tee: Tee, fmspc: bytes, documents: DocumentSet
) -> tuple[Finding, ...]:
    """
    List what a platform lacks that has *tcb*, and a quoting enclave with
    *qe_svn*, None where it is not known.
    """
    document = documents.tcb_infos.get((tee, fmspc))
    if document is None:
        what = f"TCB info of {tee.value} for the FMSPC {fmspc.hex().upper()}"
        return (_missing(Step.TCB_INFO, what, documents.number),)
    level = document.table.find(tcb)
    found = list(
        list_platform_shortfalls(
            tcb, level, document.table.levels, document.signed
        )
    )
    if tcb.tdx:
        levels = document.module_levels(tcb.tdx[1])
        module = find_isv_level(levels, tcb.tdx[0])
        found += list_module_shortfalls(tcb.tdx, module, levels)
    if qe_svn is not None:
        found += _list_qe_shortfalls(qe_svn, tee, documents)
    if level is not None and level.status in CONFIGURATION:
        found.append(find_configuration(level))
    return tuple(found)


def _list_qe_shortfalls(
    svn: int, tee: Tee, documents: DocumentSet
) -> Iterator[Finding]:
    levels = documents.identities.get(tee)
    if levels is None:
        what = f"identity of {QUOTING[tee].value}"
        yield _missing(Step.IDENTITY, what, documents.number)
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
