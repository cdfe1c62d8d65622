"""
API tokens as they are written.  Of a secret the store has the digest only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, insert, or_, select, update

from thim.errors import NotFoundError, OperatorError
from thim.store import schema
from thim.store.events import add_event
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.store.token_view import StoredToken

#: The role of agents' tokens.
AGENT: Final = "agent"
MOST_LIVING: Final = 1000
MOST_AGENTS: Final = 1_000_000


class Tokens:
    """
    The tokens of a ledger; get it from ``Ledger.tokens``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def add(self, token: StoredToken) -> None:
        """
        Keep a new token, and write down who made it.

        Raises:
            OperatorError: There are too many.
        """
        with self._transaction() as connection:
            _add(connection, token)

    def exchange(self, token_id: str, new: StoredToken) -> bool:
        """
        Keep *new* in the place of a token that counts but once; return False
        where that has been used already, or counts no more.
        """
        table = schema.api_tokens
        at = to_stored(new.created)
        with self._transaction() as connection:
            used = connection.execute(
                update(table)
                .where(
                    table.c.id == token_id,
                    table.c.revoked.is_(None),
                    or_(table.c.expires.is_(None), table.c.expires > at),
                )
                .values(revoked=at, last_used=at)
            )
            if used.rowcount != 1:
                return False
            _add(connection, new)
        return True

    def revoke(self, token_id: str, *, actor: str, now: datetime) -> bool:
        """
        Let the token be of no use from now on; return whether that is new.

        Raises:
            NotFoundError: There is no such token.
        """
        table = schema.api_tokens
        with self._transaction() as connection:
            row = connection.execute(
                select(table).where(table.c.id == token_id)
            ).first()
            if row is None:
                msg = f"no token has the ID {token_id!r}: `thim token list`"
                raise NotFoundError(msg, reason="unknown-token")
            if row.revoked is not None:
                return False
            connection.execute(
                update(table)
                .where(table.c.id == token_id)
                .values(revoked=to_stored(now))
            )
            detail = f"token {token_id} ({row.name}), role {row.role}"
            add_event(
                connection,
                "token-revoke",
                detail,
                actor=actor,
                now=now,
                tenant=row.tenant,
            )
        return True

    def revoke_tenant(self, tenant: str, *, actor: str, now: datetime) -> None:
        """
        Let all tokens of a *tenant* be of no use any more.
        """
        table = schema.api_tokens
        with self._transaction() as connection:
            living = connection.scalars(
                select(table.c.id).where(
                    table.c.tenant == tenant, table.c.revoked.is_(None)
                )
            ).all()
        for token_id in living:
            self.revoke(token_id, actor=actor, now=now)

    def note_uses(self, uses: Mapping[str, datetime]) -> None:
        """
        Write down when tokens were last used, each under its ID.
        """
        table = schema.api_tokens
        with self._transaction() as connection:
            for token_id, used in uses.items():
                at = to_stored(used)
                is_later = or_(
                    table.c.last_used.is_(None), table.c.last_used < at
                )
                connection.execute(
                    update(table)
                    .where(table.c.id == token_id, is_later)
                    .values(last_used=at)
                )


def _add(connection: Connection, token: StoredToken) -> None:
    expires = token.expires and to_stored(token.expires)
    row = {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "sha256": token.sha256,
        "created": to_stored(token.created),
        "created_by": token.created_by,
        "expires": expires,
        "tenant": token.tenant,
    }
    until = "never" if expires is None else f"{token.expires:%FT%TZ}"
    whose = f" of tenant {token.tenant}" if token.tenant else ""
    detail = (
        f"token {token.id} ({token.name}), role {token.role}{whose}, expires "
        f"{until}"
    )
    _check_number(connection, token)
    connection.execute(insert(schema.api_tokens).values(row))
    add_event(
        connection,
        "token-create",
        detail,
        actor=token.created_by,
        now=token.created,
        tenant=token.tenant,
    )


def _check_number(connection: Connection, token: StoredToken) -> None:
    # There are as many agents as machines, and few people.
    table = schema.api_tokens
    is_agents = token.role == AGENT
    at = to_stored(token.created)
    living = connection.scalar(
        select(func.count()).where(
            table.c.revoked.is_(None),
            or_(table.c.expires.is_(None), table.c.expires > at),
            (table.c.role == AGENT) == is_agents,
        )
    )
    most = MOST_AGENTS if is_agents else MOST_LIVING
    if living is not None and living >= most:
        msg = f"there are {living} living tokens: revoke what nobody uses"
        raise OperatorError(msg, reason="too-many-tokens")
