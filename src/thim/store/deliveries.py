"""
Notices as they are written, and the queue of those on their way to webhooks.

A notice is told to each webhook at least once: whoever sends it holds a *lease*
which ends by itself, so that a sender's death delays it and loses nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, or_, select, update

from thim.store import schema
from thim.store.instants import from_stored, to_stored
from thim.store.notice_view import LONGEST_LEASE, LONGEST_PLAN, Notice
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Connection

#: What a receiver says must not fill the store.
_DETAIL_SIZE: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """
    A delivery that is ours to try until the lease ends; this is the nth of its
    *attempts*.
    """

    id: int
    notice: Notice
    hook: str
    attempts: int
    until: datetime

    @property
    def delivery_id(self) -> str:
        """
        What a receiver tells repeated ones by: of each notice the same for
        ever, and of no other, in no other store.
        """
        notice = self.notice
        named = [notice.kind, notice.subject, to_stored(notice.at)]
        digest = hashlib.sha256(json.dumps(named).encode())
        return f"notice_{digest.hexdigest()[:32]}"


class Notices:
    """
    The notices of a ledger; get it from ``Ledger.notices``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def add(
        self,
        kind: str,
        subject: str,
        body: str,
        at: datetime,
        hooks: Collection[str] = (),
    ) -> bool:
        """
        Keep a notice, *body* being JSON, and have *hooks* told of it; return
        False where that subject of that kind is known: it is told once.

        Raises:
            ValueError: *body* is no JSON.
        """
        json.loads(body)
        instant = to_stored(at)
        row = {"kind": kind, "subject": subject, "at": instant, "body": body}
        with self._transaction() as connection:
            notice_id = connection.scalar(
                upsert(schema.notices)
                .values(row)
                .on_conflict_do_nothing(index_elements=["kind", "subject"])
                .returning(schema.notices.c.id)
            )
            if notice_id is None:
                return False
            for hook in dict.fromkeys(hooks):
                connection.execute(
                    insert(schema.deliveries).values(
                        notice_id=notice_id, hook=hook, due=instant
                    )
                )
        return True

    def claim(
        self,
        now: datetime,
        lease: timedelta,
        hooks: Collection[str],
        most: int = 16,
    ) -> Sequence[Claimed]:
        """
        Take *most* deliveries to *hooks* that are due, the longest due first,
        and keep everybody else from them for as long as the *lease*.
        """
        table = schema.deliveries
        with self._transaction() as connection:
            chosen = (
                select(table.c.id)
                .where(*_is_free(now), table.c.hook.in_(hooks))
                .order_by(table.c.due, table.c.id)
                .limit(most)
            )
            taken = connection.execute(
                update(table)
                .where(table.c.id.in_(chosen.scalar_subquery()))
                .values(
                    leased_until=to_stored(now + lease),
                    attempts=table.c.attempts + 1,
                )
                .returning(table.c.id)
            )
            ids = [row.id for row in taken]
            return _read(connection, ids)

    def settle(
        self,
        claimed: Claimed,
        *,
        delivered: datetime | None = None,
        due: datetime | None = None,
        detail: str,
    ) -> bool:
        """
        Write down how an attempt went: it was *delivered*, or is *due* again,
        or neither, and so given up.

        Returns False, and does nothing, where another has the delivery by now;
        but what was delivered was delivered, whoever has it.
        """
        table = schema.deliveries
        is_open = [table.c.id == claimed.id, table.c.delivered.is_(None)]
        if delivered is None:
            until = to_stored(claimed.until)
            is_open.append(table.c.leased_until == until)
        values = {
            "delivered": delivered and to_stored(delivered),
            "due": None if delivered or due is None else to_stored(due),
            "leased_until": None,
            "detail": detail[:_DETAIL_SIZE],
        }
        with self._transaction() as connection:
            done = connection.execute(
                update(table).where(*is_open).values(values)
            )
        return done.rowcount == 1


def _is_free(now: datetime) -> Sequence[ColumnElement[bool]]:
    due, until = schema.deliveries.c.due, schema.deliveries.c.leased_until
    return (
        or_(due <= to_stored(now), due > to_stored(now + LONGEST_PLAN)),
        or_(
            until.is_(None),
            until <= to_stored(now),
            until > to_stored(now + LONGEST_LEASE),
        ),
    )


def _read(connection: Connection, ids: Collection[int]) -> Sequence[Claimed]:
    notices, deliveries = schema.notices, schema.deliveries
    rows = connection.execute(
        select(
            deliveries.c.id,
            deliveries.c.hook,
            deliveries.c.attempts,
            deliveries.c.leased_until,
            notices.c.id.label("notice_id"),
            notices.c.kind,
            notices.c.subject,
            notices.c.at,
            notices.c.body,
        )
        .join(notices, notices.c.id == deliveries.c.notice_id)
        .where(deliveries.c.id.in_(ids))
        .order_by(deliveries.c.id)
    )
    return [_claimed(row) for row in rows]


def _claimed(row: Any) -> Claimed:  # noqa: ANN401 - a row of `_read`
    return Claimed(
        id=row.id,
        notice=Notice(
            id=row.notice_id,
            kind=row.kind,
            subject=row.subject,
            at=from_stored(row.at),
            body=row.body,
        ),
        hook=row.hook,
        attempts=row.attempts,
        until=from_stored(row.leased_until),
    )
