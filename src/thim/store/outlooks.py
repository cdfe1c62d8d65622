"""
How the platforms of each tenant stand, as it was last worked out: one process
does that for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select, update

from thim.store import schema
from thim.store.instants import to_stored
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

_NOBODY: Final = ""


class Outlooks:
    """
    The outlooks of a ledger; get it from ``Ledger.outlooks``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def claim(
        self, now: datetime, until: datetime, unless_since: datetime
    ) -> bool:
        """
        Take the work until an instant, unless another process has it or has
        done it since; return whether it is taken.

        What lies further in the future than it can was written by a clock that
        was ahead, and does not count.
        """
        table = schema.outlooks
        values = {
            "tenant": _NOBODY,
            "taken": 0,
            "leased_until": to_stored(until),
            "body": "",
        }
        with self._transaction() as connection:
            row = connection.execute(
                select(table.c.taken, table.c.leased_until).where(
                    table.c.tenant == _NOBODY
                )
            ).first()
            at, latest = to_stored(now), to_stored(until)
            is_ours = row is None or (
                not to_stored(unless_since) <= row.taken <= at
                and not at < (row.leased_until or 0) <= latest
            )
            if is_ours:
                connection.execute(
                    upsert(table)
                    .values(values)
                    .on_conflict_do_update(
                        index_elements=["tenant"],
                        set_={"leased_until": to_stored(until)},
                    )
                )
        return is_ours

    def put(self, bodies: Mapping[str, str], now: datetime) -> None:
        """
        Keep the outlook of each tenant in the place of all from before, and
        give the work back.
        """
        table = schema.outlooks
        taken = to_stored(now)
        with self._transaction() as connection:
            connection.execute(delete(table).where(table.c.tenant != _NOBODY))
            for tenant, body in bodies.items():
                connection.execute(
                    upsert(table).values(tenant=tenant, taken=taken, body=body)
                )
            connection.execute(
                update(table)
                .where(table.c.tenant == _NOBODY)
                .values(taken=taken, leased_until=None)
            )
