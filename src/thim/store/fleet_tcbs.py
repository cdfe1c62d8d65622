"""
TCBs of machines as evidence and inventories tell them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, func

from thim.store import schema
from thim.store.instants import to_stored
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from thim.collateral.fleet_tcbs import FleetTcb

_KEY = ("qe_id", "pce_id")
#: What one that tells nothing of it leaves as it was.
_PARTS = (
    "name",
    "qe_svn",
    "td_qe_svn",
)
#: The same, while it is of the same FMSPC.
_TCB = (
    "components",
    "pcesvn",
    "tee_tcb_svn",
)


class FleetTcbs:
    """
    The TCBs of a ledger's fleet; get it from ``Ledger.fleet_tcbs``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def note(self, tcbs: Iterable[FleetTcb]) -> int:
        """
        Keep what is told of machines; what was told later counts.  Returns how
        many were told of.
        """
        rows = [_row(tcb) for tcb in tcbs]
        if not rows:
            return 0
        table = schema.fleet_tcbs
        statement = upsert(table)
        new, old = statement.excluded, table.c
        is_later = new.seen >= old.seen
        whole = {
            name: case((is_later, new[name]), else_=old[name])
            for name in (*_TCB, "fmspc", "origin", "source", "seen")
        }
        parts = {
            name: case(
                (is_later, func.coalesce(new[name], old[name])),
                else_=func.coalesce(old[name], new[name]),
            )
            for name in (*_PARTS, *_TCB)
        }
        is_same = new.fmspc == old.fmspc
        for name in _TCB:
            parts[name] = case((is_same, parts[name]), else_=whole[name])
        with self._transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=list(_KEY), set_={**whole, **parts}
                ),
                rows,
            )
        return len(rows)


def _row(tcb: FleetTcb) -> dict[str, object]:
    return {
        "qe_id": tcb.id.qe_id,
        "pce_id": tcb.id.pce_id,
        "name": tcb.name,
        "fmspc": tcb.fmspc,
        "components": tcb.components,
        "pcesvn": tcb.pcesvn,
        "tee_tcb_svn": tcb.tee_tcb_svn,
        "qe_svn": tcb.qe_svn,
        "td_qe_svn": tcb.td_qe_svn,
        "origin": tcb.origin.value,
        "source": tcb.source,
        "seen": to_stored(tcb.seen),
    }
