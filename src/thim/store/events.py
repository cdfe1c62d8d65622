"""
What was decided, by whom and when; never a secret.
"""

from __future__ import annotations

import secrets

from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from thim.store import schema
from thim.store.event_chain import (
    NOTHING,
    SALT_SIZE,
    digest_content,
    digest_link,
    spell,
)
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
        self,
        action: str,
        detail: str,
        *,
        actor: str,
        now: datetime,
        tenant: str | None = None,
    ) -> None:
        """
        Write down that *actor* did something, which concerns *tenant* alone
        if one is named.
        """
        with self._transaction() as connection:
            add_event(
                connection,
                action,
                detail,
                actor=actor,
                now=now,
                tenant=tenant,
            )


def add_event(  # noqa: PLR0913 - what an event has
    connection: Connection,
    action: str,
    detail: str,
    *,
    actor: str,
    now: datetime,
    tenant: str | None = None,
) -> None:
    """
    Write down that *actor* did something, with what else is done, and chain it
    to the event before.
    """
    table = schema.events
    before = connection.scalar(
        select(table.c.digest).order_by(table.c.id.desc()).limit(1)
    )
    at, salt = to_stored(now), secrets.token_bytes(SALT_SIZE)
    actor, action, detail = map(_without_nul, (actor, action, detail))
    text = spell(at, actor, action, tenant, detail)
    content = digest_content(salt, text)
    connection.execute(
        insert(table).values(
            at=at,
            actor=actor,
            action=action,
            detail=detail,
            tenant=tenant,
            salt=salt,
            digest=digest_link(before or NOTHING, content),
        )
    )


def _without_nul(text: str) -> str:
    # PostgreSQL has no such text, and the digest is of what is kept.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
