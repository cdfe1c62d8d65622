"""
Which key a store's secrets are sealed with (``store.seal``).
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select, update

from thim.store import schema
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

_NAME: Final = "key_id"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """How much was lost with a sealing key."""

    manifests: int
    signing_keys: int

    def __str__(self) -> str:
        return (
            f"{self.manifests} sealed manifests dropped, {self.signing_keys} "
            f"signing keys revoked"
        )


class Keys:
    """
    What a ledger knows of its keys; get it from ``Ledger.keys``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def find(self) -> str | None:
        """
        Return the ID of the sealing key; None if nothing was sealed yet.
        """
        with self._transaction() as connection:
            return _find(connection)

    def remember(self, key_id: str) -> str:
        """
        Write down the ID of the sealing key, unless there is one; return the
        one that counts.
        """
        with self._transaction() as connection:
            known = _find(connection)
            if known is None:
                row = {"name": _NAME, "value": key_id}
                connection.execute(insert(schema.settings).values(row))
        return known or key_id

    def give_up(self, now: datetime) -> GivenUp:
        """
        Forget the sealing key, drop all that was sealed with it, and return
        what that was.
        """
        settings = schema.settings
        with self._transaction() as connection:
            manifests = _drop_manifests(connection)
            signing_keys = _revoke_signing_keys(connection, now)
            connection.execute(delete(settings).where(settings.c.name == _NAME))
        return GivenUp(manifests=manifests, signing_keys=signing_keys)


def _drop_manifests(connection: Connection) -> int:
    secrets, r = schema.platform_secrets, schema.registrations
    sealed = secrets.c.manifest.is_not(None)
    # Nothing is left to hand out of who was registered by one.
    waiting = select(secrets.c.platform_id).where(sealed)
    connection.execute(
        delete(r).where(r.c.raw_tcb == b"", r.c.platform_id.in_(waiting))
    )
    drop = update(secrets).where(sealed).values(manifest=None)
    return connection.execute(drop).rowcount


def _revoke_signing_keys(connection: Connection, now: datetime) -> int:
    # Without it not even a certificate can be made for a token that is out.
    keys = schema.signing_keys
    revoke = update(keys).where(keys.c.revoked.is_(None))
    values = {"revoked": to_stored(now), "sealed": b""}
    return connection.execute(revoke.values(values)).rowcount


def _find(connection: Connection) -> str | None:
    table = schema.settings
    return connection.scalar(select(table.c.value).where(table.c.name == _NAME))
