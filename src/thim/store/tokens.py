"""
API tokens as they are written.  Of a secret the store has the digest only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, insert, or_, select, update

from thim.errors import NotFoundError, OperatorError
from thim.store import schema
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.store.token_view import StoredToken

MOST_LIVING: Final = 1000


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
        table = schema.api_tokens
        expires = token.expires and to_stored(token.expires)
        row = {
            "id": token.id,
            "name": token.name,
            "role": token.role,
            "sha256": token.sha256,
            "created": to_stored(token.created),
            "created_by": token.created_by,
            "expires": expires,
        }
        until = "never" if expires is None else f"{token.expires:%FT%TZ}"
        detail = (
            f"token {token.id} ({token.name}), role {token.role}, "
            f"expires {until}"
        )
        with self._transaction() as connection:
            _check_number(connection, to_stored(token.created))
            connection.execute(insert(table).values(row))
            _note(
                connection,
                "token-create",
                detail,
                actor=token.created_by,
                now=token.created,
            )

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
            _note(connection, "token-revoke", detail, actor=actor, now=now)
        return True

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


def _check_number(connection: Connection, at: int) -> None:
    table = schema.api_tokens
    living = connection.scalar(
        select(func.count()).where(
            table.c.revoked.is_(None),
            or_(table.c.expires.is_(None), table.c.expires > at),
        )
    )
    if living is not None and living >= MOST_LIVING:
        msg = f"there are {living} living tokens: revoke what nobody uses"
        raise OperatorError(msg, reason="too-many-tokens")


def _note(
    connection: Connection,
    action: str,
    detail: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    connection.execute(
        insert(schema.events).values(
            at=to_stored(now), actor=actor, action=action, detail=detail
        )
    )
