"""
Who asks for a PCK certificate and is not known: bounded, as anybody can ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, select

from thim.store import schema
from thim.store.instants import to_stored
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.collateral.platforms import PlatformId

MOST_STRANGERS: Final = 10_000


class Strangers:
    """
    The ledger's strangers; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def note(self, counts: Mapping[PlatformId, int], now: datetime) -> None:
        """
        Write down how often who asked by *now*, and forget who has not asked
        for longest beyond the bound.
        """
        rows = [_row(platform, n, now) for platform, n in counts.items()]
        if not rows:
            return
        table = schema.strangers
        statement = upsert(table)
        with self._transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["qe_id", "pce_id"],
                    set_={
                        "last_seen": statement.excluded.last_seen,
                        "count": table.c.count + statement.excluded.count,
                    },
                ),
                rows,
            )
            _forget_oldest(connection)

    def forget(self, platforms: Iterable[PlatformId]) -> None:
        """
        Forget those who are known by now.
        """
        table = schema.strangers
        with self._transaction() as connection:
            for one in platforms:
                connection.execute(
                    delete(table).where(
                        table.c.qe_id == one.qe_id,
                        table.c.pce_id == one.pce_id,
                    )
                )


def _row(platform: PlatformId, count: int, now: datetime) -> dict[str, object]:
    return {
        "qe_id": platform.qe_id,
        "pce_id": platform.pce_id,
        "first_seen": to_stored(now),
        "last_seen": to_stored(now),
        "count": count,
    }


def _forget_oldest(connection: Connection) -> None:
    table = schema.strangers
    count = connection.scalar(select(func.count()).select_from(table)) or 0
    if count <= MOST_STRANGERS:
        return
    query = select(table.c.last_seen).order_by(table.c.last_seen.desc())
    oldest = connection.scalar(query.offset(MOST_STRANGERS - 1).limit(1))
    connection.execute(delete(table).where(table.c.last_seen < oldest))
