"""
Attestation policies, and the certificates that may sign them, as they are
read.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.store.file import making_sense
from thim.store.instants import from_stored


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.store.replica import Replica

#: Of one tenant; each request that is signed is compared with all.
MOST_CERTIFICATES: Final = 64
_NEWEST: Final = """
    SELECT id, tenant, type, jws, at, actor FROM attestation_policies
     WHERE tenant = ? AND type = ? ORDER BY id DESC LIMIT 1
"""
_PAST: Final = """
    SELECT id, tenant, type, jws, at, actor FROM attestation_policies
     WHERE tenant = ? AND type = ? ORDER BY id
"""
_ALL: Final = """
    SELECT id, tenant, type, jws, at, actor FROM attestation_policies
     ORDER BY id
"""
_CERTIFICATES: Final = """
    SELECT tenant, sha256, der, added, added_by FROM policy_certificates
     WHERE tenant = ? AND removed IS NULL ORDER BY id
"""
_ALL_CERTIFICATES: Final = """
    SELECT tenant, sha256, der, added, added_by FROM policy_certificates
     ORDER BY id
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """
    A version of a tenant's policy for a *kind* of attestation, as *actor* sent
    it; *jws* is None where it was reset.  *id* tells it from all others of the
    store.
    """

    id: int
    tenant: str
    kind: str
    jws: bytes | None
    at: datetime
    actor: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredCertificate:
    """
    A certificate that may sign a tenant's policies.
    """

    tenant: str
    sha256: bytes
    der: bytes
    added: datetime
    actor: str


class AttestationView:
    """
    The attestation policies of a store, through a *replica* of it.

    Each read raises `UnavailableError` where the store cannot be read.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def find_policy(self, tenant: str, kind: str) -> StoredPolicy | None:
        """
        Return the newest version of a tenant's policy; None if there never
        was one.
        """

        def read() -> StoredPolicy | None:
            row = self._replica.first(_NEWEST, (tenant, kind))
            return _policy(row) if row else None

        name = f"attestation-policy {tenant} {kind}"
        return self._replica.remember(name, read)

    def history(self, tenant: str, kind: str) -> Sequence[StoredPolicy]:
        """
        Return every version of it, the oldest first.
        """
        return list(map(_policy, self._replica.rows(_PAST, (tenant, kind))))

    def policies(self) -> Sequence[StoredPolicy]:
        """
        Return every version of all policies, the oldest first.
        """
        return list(map(_policy, self._replica.rows(_ALL)))

    def certificates(self, tenant: str) -> Sequence[StoredCertificate]:
        """
        Return the certificates that may sign a tenant's policies.
        """
        rows = self._replica.rows(_CERTIFICATES, (tenant,))
        return list(map(_certificate, rows))

    def all_certificates(self) -> Sequence[StoredCertificate]:
        """
        Return all that ever could, of any tenant.
        """
        return list(map(_certificate, self._replica.rows(_ALL_CERTIFICATES)))


def _policy(row: tuple[Any, ...]) -> StoredPolicy:
    policy_id, tenant, kind, jws, at, actor = row
    with making_sense():
        return StoredPolicy(
            id=policy_id,
            tenant=tenant,
            kind=kind,
            jws=jws,
            at=from_stored(at),
            actor=actor,
        )


def _certificate(row: tuple[Any, ...]) -> StoredCertificate:
    tenant, sha256, der, added, actor = row
    with making_sense():
        return StoredCertificate(
            tenant=tenant,
            sha256=sha256,
            der=der,
            added=from_stored(added),
            actor=actor,
        )
