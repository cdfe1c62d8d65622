"""
Answers that are selected anew, when a TCB info has other levels than before.

There may be a million: it is done a page at a time, so that nobody waits for
the store meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from thim.collateral.platforms import digest_floors
from thim.store import schema
from thim.store.answers import Selector


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

_PAGE: Final = 500


class Selections:
    """
    By which TCB levels a ledger's answers are selected; *transaction* opens
    one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def pending(self) -> dict[bytes, bytes]:
        """
        Return the FMSPCs (6 bytes) whose answers are not all selected by the
        newest TCB levels, each with the digest of those.
        """
        found = {}
        with self._transaction() as connection:
            selector = Selector(connection)
            table = schema.pck_families
            query = select(table.c.fmspc).distinct()
            for fmspc in connection.scalars(query).all():
                floors = _digest(selector, fmspc)
                if floors and not selector.is_selected(fmspc, floors):
                    found[fmspc] = floors
        return found

    def step(self, fmspc: bytes, floors: bytes, after: int) -> int | None:
        """
        Select the answers of the next platforms of *fmspc* behind the number
        *after*, by the TCB levels with the digest *floors*.

        Returns the last platform's number, None when none is left, or other
        levels are the newest by now.
        """
        table = schema.platforms
        query = (
            select(table.c.id)
            .where(table.c.fmspc == fmspc, table.c.id > after)
            .order_by(table.c.id)
            .limit(_PAGE)
        )
        with self._transaction() as connection:
            selector = Selector(connection)
            if _digest(selector, fmspc) != floors:
                return None
            rows = connection.scalars(query).all()
            if not rows:
                selector.note_selected(fmspc, floors)
                return None
            selector.select(rows)
        return int(rows[-1])

    def finish(self) -> int:
        """
        Select all that is pending, and return how many pages that were.
        """
        count = 0
        for fmspc, floors in self.pending().items():
            after: int | None = 0
            while after is not None:
                after = self.step(fmspc, floors, after)
                count += 1
        return count


def _digest(selector: Selector, fmspc: bytes) -> bytes | None:
    newest = selector.find_newest(fmspc)
    return None if newest is None else digest_floors(newest)
