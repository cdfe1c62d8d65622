"""
The VCEKs that are wanted, in the order in which they are asked for.

AMD's key server gives one in ten seconds, so there is a queue; it lies on the
agenda, and so is every worker's and survives all of them.
"""

from __future__ import annotations

import itertools

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, func, select, update

from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.amd_keys import Rank, vcek_target
from thim.collateral.targets import LONGEST_ABSENCE
from thim.errors import MalformedError
from thim.store import schema
from thim.store.instants import to_stored
from thim.store.paging import pages
from thim.store.upsert import earlier, upsert


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection


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
        table = schema.targets
        with self._transaction() as connection:
            is_waiting = connection.scalar(
                select(func.count()).where(
                    table.c.name == str(vcek_target(name)),
                    table.c.due.is_not(None),
                    table.c.rank <= Rank.CALLER,
                )
            )
            if is_waiting:
                return True
            # What others want is no reason to turn anybody away.
            if _count(connection, Rank.CALLER) >= most:
                return False
            _put(connection, [name], Rank.CALLER, now)
        return True

    def cancel(self) -> int:
        """
        Take out all that operators want, and return how many; what a
        registered chip needs stays, as that.
        """
        table = schema.targets
        wanted = (*schema.IN_CHIP_QUEUE, table.c.rank == Rank.OPERATOR)
        with self._transaction() as connection:
            names = connection.scalars(select(table.c.name).where(*wanted))
            needed = _needed(connection, set(names))
            if needed:
                connection.execute(
                    update(table)
                    .where(table.c.name == bindparam("its_name"))
                    .values(rank=Rank.CHIP),
                    [{"its_name": name} for name in needed],
                )
            done = connection.execute(
                update(table).where(*wanted).values(due=None)
            )
        return int(done.rowcount)

    def take_out(self, names: Iterable[ChipTcb]) -> None:
        """
        Take out VCEKs that have come by another way.
        """
        table = schema.targets
        with self._transaction() as connection:
            for page in pages([str(vcek_target(name)) for name in names]):
                connection.execute(
                    update(table)
                    .where(*schema.IN_CHIP_QUEUE, table.c.name.in_(page))
                    .values(due=None)
                )

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

    def add_last(
        self, names: Iterable[ChipTcb], now: datetime, most: int
    ) -> int:
        """
        Put VCEKs behind all that anybody asks for, so many that *most* such
        are waiting at the most; return how many.
        """
        with self._transaction() as connection:
            free = most - _count(connection, Rank.RENEWAL)
            chosen = list(itertools.islice(names, max(0, free)))
            _put(connection, chosen, Rank.RENEWAL, now)
        return len(chosen)

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


def _needed(connection: Connection, names: Collection[str]) -> Sequence[str]:
    """Return which of *names* registered chips need."""
    if not names:
        return ()
    table = schema.chips
    query = select(table.c.product, table.c.hw_id, table.c.tcb)
    rows = connection.execute(query.where(table.c.retired.is_(None)))
    needed = set(map(_try_name, rows))
    return [name for name in names if name in needed]


def _try_name(row: Any) -> str | None:  # noqa: ANN401 - a row
    try:
        product = ProductLine(row.product)
        tcb = TcbVersion.from_bytes(row.tcb, product)
    except (ValueError, MalformedError):  # damaged: `thim db verify` says so
        return None
    name = ChipTcb(product=product, hw_id=row.hw_id, tcb=tcb)
    return str(vcek_target(name))


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
                (is_before, earlier(table.c.due, values["due"])),
                else_=values["due"],
            ),
            "rank": case((is_before, table.c.rank), else_=rank),
            "absent_until": None,
            "failures": 0,
        },
    )
    if rows:
        connection.execute(statement, rows)
