"""
API tokens as they are read: one by its ID, or all of them.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.store.file import making_sense
from thim.store.instants import from_stored
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

#: The role of tokens that count once.
_ONCE: Final = "enrolment"
_COLUMNS: Final = """
    SELECT id, name, role, sha256, created, created_by, tenant, expires,
           last_used, revoked
      FROM api_tokens
"""
_BY_ID: Final = f"{_COLUMNS} WHERE id = ?"
_ALL: Final = f"{_COLUMNS} ORDER BY created, id"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """
    What is known of a token: everything but its secret, of which *sha256* is
    the digest.  One of a *tenant* is nobody outside it.
    """

    id: str
    name: str
    role: str
    sha256: bytes = dataclasses.field(repr=False)
    created: datetime
    created_by: str
    expires: datetime | None
    last_used: datetime | None
    revoked: datetime | None
    tenant: str | None = None

    def state(self, now: datetime) -> str:
        """
        Return ``living``, ``expired``, ``revoked``, or ``used`` of one that
        counted once.
        """
        if self.revoked is not None:
            is_used = self.role == _ONCE and self.last_used == self.revoked
            return "used" if is_used else "revoked"
        is_over = self.expires is not None and self.expires <= now
        return "expired" if is_over else "living"


class TokenView:
    """
    The tokens of a store, through a *replica* of it.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def find(self, name: str) -> StoredToken | None:
        """
        Return the token with the ID *name*.

        Raises:
            UnavailableError: The store cannot be read.
        """
        row = self._replica.first(_BY_ID, (name,))
        return _token(row) if row else None

    def all(self) -> Sequence[StoredToken]:
        """
        Return every token, the oldest first.

        Raises:
            UnavailableError: The store cannot be read.
        """
        return [_token(row) for row in self._replica.rows(_ALL)]


def _token(row: tuple[Any, ...]) -> StoredToken:
    name, label, role, sha256, created, created_by, tenant, *instants = row
    with making_sense():
        expires, last_used, revoked = map(_instant, instants)
        return StoredToken(
            id=name,
            name=label,
            role=role,
            sha256=sha256,
            created=from_stored(created),
            created_by=created_by,
            expires=expires,
            last_used=last_used,
            revoked=revoked,
            tenant=tenant,
        )


def _instant(stored: int | None) -> datetime | None:
    return None if stored is None else from_stored(stored)
