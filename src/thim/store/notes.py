"""
What was refused, and how often things were noticed: the ledger's notes.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, insert, select, update

from thim.store import schema
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

QUARANTINE_SIZE: Final = 2000
QUARANTINE_BODY_SIZE: Final = 64 * 1024


def add_to_quarantine(  # noqa: PLR0913 - one argument for each column
    connection: Connection,
    *,
    body: bytes,
    source: str,
    reason: str,
    detail: str,
    now: datetime,
) -> None:
    """
    Keep what was refused, and forget the oldest beyond the bound.
    """
    table = schema.quarantine
    digest = hashlib.sha256(body).digest()
    seen = {"reason": reason, "detail": detail, "last_seen": to_stored(now)}
    again = connection.execute(
        update(table).where(table.c.sha256 == digest).values(seen)
    )
    if again.rowcount:
        return
    connection.execute(
        insert(table).values(
            sha256=digest,
            body=body[:QUARANTINE_BODY_SIZE],
            source=source,
            first_seen=to_stored(now),
            **seen,
        )
    )
    newest = select(func.max(table.c.id)).scalar_subquery()
    connection.execute(
        table.delete().where(table.c.id <= newest - QUARANTINE_SIZE)
    )


def count(connection: Connection, name: str, label: str, now: datetime) -> None:
    """
    Count once more that something was noticed.
    """
    table = schema.counters
    again = connection.execute(
        update(table)
        .where(table.c.name == name, table.c.label == label)
        .values(count=table.c.count + 1, last=to_stored(now))
    )
    if not again.rowcount:
        row = {"name": name, "label": label, "count": 1, "last": to_stored(now)}
        connection.execute(insert(table).values(row))


def put_setting(connection: Connection, name: str, value: str) -> None:
    """
    Write down something about the store itself, in the place of what was.
    """
    table = schema.settings
    connection.execute(delete(table).where(table.c.name == name))
    connection.execute(insert(table).values(name=name, value=value))
