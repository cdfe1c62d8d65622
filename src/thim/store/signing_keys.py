"""
Signing keys as they are written.  Their secrets are sealed (``store.seal``);
what was revoked is destroyed.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from thim.errors import NotFoundError
from thim.store import schema
from thim.store.events import add_event
from thim.store.instants import to_stored
from thim.store.signing_key_view import read_signing_key


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.attestation.signing_certificate import KeyEvidence
    from thim.attestation.signing_key import SigningKey

_GONE = b""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewSigningKey:
    """A key that was made, and its *sealed* secret."""

    key: SigningKey
    sealed: bytes = dataclasses.field(repr=False)


class SigningKeys:
    """
    The signing keys of a ledger; get it from ``Ledger.signing_keys``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def add(
        self,
        new: NewSigningKey,
        is_needed: Callable[[Sequence[SigningKey]], bool],
    ) -> bool:
        """
        Keep a *new* key, if *is_needed* says so of those that are there by
        then: several processes may have made one.
        """
        key = new.key
        with self._transaction() as connection:
            if not is_needed(_read(connection)):
                return False
            evidence = key.evidence
            connection.execute(
                insert(schema.signing_keys).values(
                    kid=key.kid,
                    spki=key.spki,
                    sealed=new.sealed,
                    created=to_stored(key.created),
                    active_from=to_stored(key.active_from),
                    evidence_kind=evidence and evidence.kind.value,
                    evidence=evidence and evidence.data,
                    actor=key.actor,
                )
            )
            kind = evidence.kind.value if evidence else "no"
            detail = (
                f"signing key {key.kid}, signs from {key.active_from:%FT%TZ} "
                f"on, {kind} evidence"
            )
            add_event(
                connection,
                "signing-key-create",
                detail,
                actor=key.actor,
                now=key.created,
            )
        return True

    def put_evidence(self, kid: str, evidence: KeyEvidence) -> None:
        """
        Keep *evidence* of a key in the place of what there was.
        """
        table = schema.signing_keys
        with self._transaction() as connection:
            connection.execute(
                update(table)
                .where(table.c.kid == kid)
                .values(
                    evidence_kind=evidence.kind.value, evidence=evidence.data
                )
            )

    def revoke(self, kid: str, *, actor: str, now: datetime) -> bool:
        """
        Let a key sign nothing any more, and destroy its secret; return whether
        that is new.

        Raises:
            NotFoundError: There is no such key.
        """
        table = schema.signing_keys
        with self._transaction() as connection:
            row = connection.execute(
                select(table.c.revoked).where(table.c.kid == kid)
            ).first()
            if row is None:
                msg = f"no signing key is {kid!r}: `thim signing list`"
                raise NotFoundError(msg, reason="unknown-signing-key")
            if row.revoked is not None:
                return False
            connection.execute(
                update(table)
                .where(table.c.kid == kid)
                .values(revoked=to_stored(now), sealed=_GONE)
            )
            add_event(
                connection,
                "signing-key-revoke",
                f"signing key {kid}",
                actor=actor,
                now=now,
            )
        return True


def _read(connection: Connection) -> Sequence[SigningKey]:
    table = schema.signing_keys
    columns = [column for column in table.c if column.name != "sealed"]
    rows = connection.execute(select(*columns).order_by(table.c.active_from))
    return [read_signing_key(tuple(row)) for row in rows]
