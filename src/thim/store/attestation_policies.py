"""
Attestation policies, and the certificates that may sign them, as they are
written: each version stays for ever.
"""

from __future__ import annotations

import hashlib

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from thim.errors import OperatorError
from thim.store import schema
from thim.store.attestation_view import MOST_CERTIFICATES
from thim.store.events import add_event
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection


class AttestationPolicies:
    """
    The attestation policies of a ledger; get it from
    ``Ledger.attestation_policies``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def put(
        self,
        tenant: str,
        kind: str,
        jws: bytes | None,
        *,
        actor: str,
        at: datetime,
    ) -> bool:
        """
        Let *jws* be the policy of a *tenant* for this *kind* of attestation
        from now on, or none; return whether that is news.
        """
        with self._transaction() as connection:
            if _find_newest(connection, tenant, kind) == jws:
                return False
            connection.execute(
                insert(schema.attestation_policies).values(
                    tenant=tenant,
                    type=kind,
                    jws=jws,
                    at=to_stored(at),
                    actor=actor,
                )
            )
            what = f"policy {kind} of tenant {tenant}"
            if jws is None:
                action, detail = "attestation-policy-reset", what
            else:
                action = "attestation-policy-set"
                detail = f"{what}: JWS {hashlib.sha256(jws).hexdigest()}"
            add_event(
                connection,
                action,
                detail,
                actor=actor,
                now=at,
                tenant=tenant,
            )
        return True

    def add_certificate(
        self, tenant: str, der: bytes, *, actor: str, at: datetime
    ) -> bool:
        """
        Let who has the key of this certificate sign policies of *tenant*;
        return whether that is news.

        Raises:
            OperatorError: There are too many.
        """
        table = schema.policy_certificates
        with self._transaction() as connection:
            living = _list_living(connection, tenant)
            if der in living:
                return False
            if len(living) >= MOST_CERTIFICATES:
                msg = (
                    f"tenant {tenant} has {len(living)} policy certificates: "
                    f"remove what nobody uses"
                )
                raise OperatorError(msg, reason="too-many-certificates")
            digest = hashlib.sha256(der).digest()
            connection.execute(
                insert(table).values(
                    tenant=tenant,
                    sha256=digest,
                    der=der,
                    added=to_stored(at),
                    added_by=actor,
                )
            )
            detail = f"policy certificate {digest.hex()} of tenant {tenant}"
            add_event(
                connection,
                "policy-certificate-add",
                detail,
                actor=actor,
                now=at,
                tenant=tenant,
            )
        return True

    def remove_certificate(
        self, tenant: str, der: bytes, *, actor: str, at: datetime
    ) -> bool:
        """
        Let that certificate sign no more policies of *tenant*; return whether
        that is news.
        """
        table = schema.policy_certificates
        digest = hashlib.sha256(der).digest()
        with self._transaction() as connection:
            removed = connection.execute(
                update(table)
                .where(
                    table.c.tenant == tenant,
                    table.c.sha256 == digest,
                    table.c.removed.is_(None),
                )
                .values(removed=to_stored(at), removed_by=actor)
            )
            if not removed.rowcount:
                return False
            detail = f"policy certificate {digest.hex()} of tenant {tenant}"
            add_event(
                connection,
                "policy-certificate-remove",
                detail,
                actor=actor,
                now=at,
                tenant=tenant,
            )
        return True

    def certificates(self, tenant: str) -> Sequence[bytes]:
        """
        Return the certificates (DER) that may sign policies of *tenant*.
        """
        with self._transaction() as connection:
            return _list_living(connection, tenant)

    def policies(self, tenant: str) -> dict[str, bytes]:
        """
        Return the policies of *tenant* that are in force, by kind.
        """
        table = schema.attestation_policies
        newest = (
            select(func.max(table.c.id))
            .where(table.c.tenant == tenant)
            .group_by(table.c.type)
        )
        with self._transaction() as connection:
            rows = connection.execute(
                select(table.c.type, table.c.jws).where(table.c.id.in_(newest))
            )
            return {row.type: row.jws for row in rows if row.jws is not None}

    def forget_tenant(self, tenant: str, *, actor: str, at: datetime) -> None:
        """
        Leave nothing in force that was decided for *tenant*: another may get
        its name.
        """
        for kind in self.policies(tenant):
            self.put(tenant, kind, None, actor=actor, at=at)
        for der in self.certificates(tenant):
            self.remove_certificate(tenant, der, actor=actor, at=at)


def _find_newest(
    connection: Connection, tenant: str, kind: str
) -> bytes | None:
    table = schema.attestation_policies
    found: bytes | None = connection.scalar(
        select(table.c.jws)
        .where(table.c.tenant == tenant, table.c.type == kind)
        .order_by(table.c.id.desc())
        .limit(1)
    )
    return found


def _list_living(connection: Connection, tenant: str) -> Sequence[bytes]:
    table = schema.policy_certificates
    return connection.scalars(
        select(table.c.der)
        .where(table.c.tenant == tenant, table.c.removed.is_(None))
        .order_by(table.c.id)
    ).all()
