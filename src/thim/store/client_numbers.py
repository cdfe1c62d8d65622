"""
Which evaluation number each client last fetched: bounded, as anybody can ask.
"""

from __future__ import annotations

import datetime

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, or_, select

from thim.store import schema
from thim.store.client_view import AHEAD
from thim.store.instants import to_stored
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from thim.store.client_view import ClientNumber

#: Of one tenant.
MOST_CLIENTS: Final = 50_000
#: Who has not been seen for so long is forgotten.
KEPT: Final = datetime.timedelta(days=30)


class ClientNumbers:
    """
    The ledger's clients; get it from ``Ledger.client_numbers``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def note(
        self,
        fetched: Collection[ClientNumber],
        now: datetime.datetime,
        most: int = MOST_CLIENTS,
    ) -> None:
        """
        Write down at *now* what was *fetched*, and forget who has not been
        seen for longest: for a `KEPT`, and all but *most* of each tenant.

        Several processes write: what was seen later counts, in whatever order
        it comes.
        """
        if not fetched:
            return
        with self._transaction() as connection:
            _upsert(connection, [_row(one) for one in fetched], now)
            _forget_old(connection, now)
            for tenant in {one.tenant for one in fetched}:
                _forget_beyond(connection, tenant, most)


def _row(one: ClientNumber) -> dict[str, object]:
    return {
        "tenant": one.tenant,
        "client": one.client,
        "number": one.number,
        "seen": to_stored(one.seen),
    }


def _upsert(
    connection: Connection,
    rows: list[dict[str, Any]],
    now: datetime.datetime,
) -> None:
    table = schema.client_numbers
    statement = upsert(table)
    seen = statement.excluded.seen
    latest = to_stored(now + AHEAD)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant", "client"],
            set_={"number": statement.excluded.number, "seen": seen},
            where=or_(seen >= table.c.seen, table.c.seen > latest),
        ),
        rows,
    )


def _forget_old(connection: Connection, now: datetime.datetime) -> None:
    table = schema.client_numbers
    oldest = to_stored(now - KEPT)
    connection.execute(delete(table).where(table.c.seen < oldest))


def _forget_beyond(connection: Connection, tenant: str, most: int) -> None:
    table = schema.client_numbers
    ours = table.c.tenant == tenant
    query = select(func.count()).select_from(table).where(ours)
    surplus = (connection.scalar(query) or 0) - most
    if surplus > 0:
        oldest = (
            select(table.c.client)
            .where(ours)
            .order_by(table.c.seen, table.c.client)
            .limit(surplus)
        )
        connection.execute(
            delete(table).where(ours, table.c.client.in_(oldest))
        )
