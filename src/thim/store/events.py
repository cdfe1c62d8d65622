"""
What was decided, by whom and when; never a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from thim.store import schema
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection


class Events:
    """
    The events of a ledger; get it from ``Ledger.events``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def add(
        self, action: str, detail: str, *, actor: str, now: datetime
    ) -> None:
        """
        Write down that *actor* did something.
        """
        with self._transaction() as connection:
            add_event(connection, action, detail, actor=actor, now=now)


def add_event(
    connection: Connection,
    action: str,
    detail: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    """
    Write down that *actor* did something, with what else is done.
    """
    connection.execute(
        insert(schema.events).values(
            at=to_stored(now), actor=actor, action=action, detail=detail
        )
    )
