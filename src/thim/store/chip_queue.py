"""
The VCEKs that are wanted, in the order in which they are asked for.

AMD's key server gives one in ten seconds, so there is a queue; it lies on the
agenda, and so is every worker's and survives all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from thim.collateral.amd_keys import Rank, vcek_target
from thim.collateral.targets import LONGEST_ABSENCE
from thim.store import schema
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.amd.kds import ChipTcb


class ChipQueue:
    """
    The queue of a ledger; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def add(self, name: ChipTcb, now: datetime, most: int) -> bool:
        """
        Put a VCEK at the end, for somebody who asks for it, unless *most* such
        are waiting: return False then.  One that is waiting keeps its place.
        """
        with self._transaction() as connection:
            known = connection.scalar(
                select(schema.targets.c.due).where(
                    schema.targets.c.name == str(vcek_target(name))
                )
            )
            if known is not None:
                return True
            # What others want is no reason to turn anybody away.
            if _count(connection, Rank.CALLER) >= most:
                return False
            _put(connection, [name], Rank.CALLER, now)
        return True

    def cancel(self) -> int:
        """
        Take out all that operators want; return how many.
        """
        table = schema.targets
        with self._transaction() as connection:
            done = connection.execute(
                update(table)
                .where(*schema.IN_CHIP_QUEUE, table.c.rank == Rank.OPERATOR)
                .values(due=None)
            )
        return int(done.rowcount)

    def add_first(
        self,
        names: Iterable[ChipTcb],
        now: datetime,
        rank: Rank = Rank.OPERATOR,
    ) -> None:
        """
        Put VCEKs before all that anybody of a lower *rank* asks for.
        """
        with self._transaction() as connection:
            _put(connection, names, rank, now)

    def add_told(self, name: ChipTcb, now: datetime, most: int) -> None:
        """
        Put a VCEK there for an agent that tells of its chip, unless *most*
        others of that chip are waiting, or the vendor has just said that there
        is none: an agent may tell anything, and as often as it likes.
        """
        with self._transaction() as connection:
            if not _is_in_vain(connection, name, now, most):
                _put(connection, [name], Rank.CHIP, now)


def _is_in_vain(
    connection: Connection, name: ChipTcb, now: datetime, most: int
) -> bool:
    table, own = schema.targets, str(vcek_target(name))
    chip = own.rpartition(":")[0]
    others = connection.scalar(
        select(func.count()).where(
            table.c.name > f"{chip}:",
            table.c.name < f"{chip};",
            table.c.name != own,
            table.c.due.is_not(None),
        )
    )
    absent = connection.scalar(
        select(func.count()).where(
            table.c.name == own,
            table.c.absent_until > to_stored(now),
            table.c.absent_until <= to_stored(now + LONGEST_ABSENCE),
        )
    )
    return bool(absent) or (others or 0) >= most


def _count(connection: Connection, rank: Rank) -> int:
    query = (
        select(func.count())
        .select_from(schema.targets)
        .where(*schema.IN_CHIP_QUEUE, schema.targets.c.rank == rank)
        .with_hint(schema.targets, "INDEXED BY targets_of_chips", "sqlite")
    )
    return int(connection.scalar(query) or 0)


def _put(
    connection: Connection,
    names: Iterable[ChipTcb],
    rank: Rank,
    now: datetime,
) -> None:
    table = schema.targets
    values = {"due": to_stored(now), "rank": rank}
    rows = [{"name": str(vcek_target(name)), **values} for name in names]
    is_before = table.c.due.is_not(None) & (table.c.rank <= rank)
    statement = upsert(table).on_conflict_do_update(
        index_elements=["name"],
        # Who is before it keeps the place, but not what went wrong there:
        # whoever asks anew does not inherit that.
        set_={
            "due": case(
                (is_before, func.min(table.c.due, values["due"])),
                else_=values["due"],
            ),
            "rank": case((is_before, table.c.rank), else_=rank),
            "absent_until": None,
            "failures": 0,
        },
    )
    if rows:
        connection.execute(statement, rows)
