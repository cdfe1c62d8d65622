"""
The VCEKs that are wanted, in the order in which they are asked for.

AMD's key server gives one in ten seconds, so there is a queue; it lies on the
agenda, and so is every worker's and survives all of them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from thim.collateral.amd_keys import vcek_target
from thim.collateral.targets import LONGEST_ABSENCE
from thim.store import schema
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.amd.kds import ChipTcb

#: What an operator wants stands before what anybody asks for: as if it had
#: been asked for so long ago.
_HEAD_START: Final = timedelta(days=3650)


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
            if _count(connection, _since(now)) >= most:
                return False
            _put(connection, [name], to_stored(now))
        return True

    def cancel(self, now: datetime) -> int:
        """
        Take out all that operators want; return how many.
        """
        table = schema.targets
        since = _since(now)
        with self._transaction() as connection:
            done = connection.execute(
                update(table)
                .where(*schema.IN_CHIP_QUEUE, table.c.due < since)
                .values(due=None)
            )
        return int(done.rowcount)

    def add_first(self, names: Iterable[ChipTcb], now: datetime) -> None:
        """
        Put VCEKs before all that anybody else asks for, for an operator.
        """
        with self._transaction() as connection:
            _put(connection, names, to_stored(now - _HEAD_START))

    def add_told(self, name: ChipTcb, now: datetime, most: int) -> None:
        """
        Put a VCEK there for an agent that tells of its chip, unless *most*
        others of that chip are waiting, or the vendor has just said that there
        is none: an agent may tell anything, and as often as it likes.
        """
        with self._transaction() as connection:
            if not _is_in_vain(connection, name, now, most):
                _put(connection, [name], to_stored(now - _HEAD_START))


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


def _since(now: datetime) -> int:
    """Return between which instants what operators want and others' lies."""
    return to_stored(now - _HEAD_START / 2)


def _count(connection: Connection, since: int) -> int:
    # What operators want is no reason to turn others away.
    query = (
        select(func.count())
        .select_from(schema.targets)
        .where(*schema.IN_CHIP_QUEUE, schema.targets.c.due > since)
        .with_hint(schema.targets, "INDEXED BY targets_of_chips", "sqlite")
    )
    return int(connection.scalar(query) or 0)


def _put(connection: Connection, names: Iterable[ChipTcb], due: int) -> None:
    table = schema.targets
    rows = [{"name": str(vcek_target(name)), "due": due} for name in names]
    statement = upsert(table)
    earliest = func.min(func.coalesce(table.c.due, due), due)
    statement = statement.on_conflict_do_update(
        index_elements=["name"],
        # Whoever asks anew does not inherit what went wrong before.
        set_={"due": earliest, "absent_until": None, "failures": 0},
    )
    if rows:
        connection.execute(statement, rows)
