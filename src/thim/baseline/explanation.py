"""
Why platforms of a fleet are not acceptable under a set of collateral.

Platforms with the same TCB have the same reasons: they are worked out once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.baseline.shortcomings import Levels, Measure, explain
from thim.intel.kept import Kept


if TYPE_CHECKING:
    from thim.baseline.documents import DocumentSet
    from thim.baseline.fleet import Fleet
    from thim.intel.names import Tee
    from thim.intel.steps import Finding

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
            found = explain(tcb, qe_svn, self._find_measure(tee, fmspc))
            self._kept.keep(kind, found)
        return found

    def _find_measure(self, tee: Tee, fmspc: bytes) -> Measure:
        document = self._documents.tcb_infos.get((tee, fmspc))
        levels = None
        if document is not None:
            levels = Levels(
                signed=document.signed,
                table=document.table,
                modules=document.modules,
            )
        return Measure(
            number=self._documents.number,
            tee=tee,
            fmspc=fmspc,
            levels=levels,
            identity=self._documents.identities.get(tee),
        )
