"""
Which key a store's secrets are sealed with (``store.seal``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select, update

from thim.store import schema


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

_NAME: Final = "key_id"


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

    def give_up(self) -> int:
        """
        Forget the sealing key and drop all that was sealed with it; return how
        many manifests that were.
        """
        secrets, settings = schema.platform_secrets, schema.settings
        sealed = secrets.c.manifest.is_not(None)
        drop = update(secrets).where(sealed).values(manifest=None)
        # Nothing is left to hand out of who was registered by one.
        r = schema.registrations
        waiting = select(secrets.c.platform_id).where(sealed)
        forget = delete(r).where(
            r.c.raw_tcb == b"", r.c.platform_id.in_(waiting)
        )
        with self._transaction() as connection:
            connection.execute(forget)
            dropped = connection.execute(drop)
            connection.execute(delete(settings).where(settings.c.name == _NAME))
        return dropped.rowcount


def _find(connection: Connection) -> str | None:
    table = schema.settings
    return connection.scalar(select(table.c.value).where(table.c.name == _NAME))
