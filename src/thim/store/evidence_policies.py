"""
Attestation policies, and who might sign them, as they were in force in a
period.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.store.attestation_view import StoredPolicy
from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.store.replica import Replica

#: Those of the period, and the one before of each kind; nothing of who had the
#: tenant's name earlier.
_POLICIES: Final = """
    SELECT id, tenant, type, jws, at, actor FROM attestation_policies p
     WHERE tenant = ? AND at < ?
       AND (at >= ? OR id = (SELECT max(id) FROM attestation_policies q
                              WHERE q.tenant = p.tenant AND q.type = p.type
                                AND q.at < ? AND q.at >= ?))
     ORDER BY id
"""
_CERTIFICATES: Final = """
    SELECT der, added, added_by, removed, removed_by FROM policy_certificates
     WHERE tenant = ? AND added < ? AND added >= ?
       AND (removed IS NULL OR removed > ?)
     ORDER BY id
"""
_EVER: Final = -(2**62)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PastCertificate:
    """A certificate that might sign a tenant's policies for a while."""

    tenant: str
    der: bytes
    added: datetime
    added_by: str
    removed: datetime | None
    removed_by: str | None


def list_policies(
    replica: Replica,
    tenant: str,
    since: datetime,
    until: datetime,
    birth: datetime | None,
) -> Iterator[StoredPolicy]:
    """
    Read the policies of a *tenant* that were in force between two instants,
    none of them from before its *birth*.
    """
    begin, end = to_stored(since), to_stored(until)
    born = _EVER if birth is None else to_stored(birth)
    values = (tenant, end, begin, begin, born)
    for row_id, _, kind, jws, at, actor in replica.rows(_POLICIES, values):
        with making_sense():
            yield StoredPolicy(
                id=row_id,
                tenant=tenant,
                kind=kind,
                jws=jws,
                at=from_stored(at),
                actor=actor,
            )


def list_certificates(
    replica: Replica,
    tenant: str,
    since: datetime,
    until: datetime,
    birth: datetime | None,
) -> Iterator[PastCertificate]:
    """
    Read the policy certificates of a *tenant* that counted between two
    instants, none of them from before its *birth*.
    """
    born = _EVER if birth is None else to_stored(birth)
    values = (tenant, to_stored(until), born, to_stored(since))
    rows = replica.rows(_CERTIFICATES, values)
    for der, added, added_by, removed, removed_by in rows:
        with making_sense():
            yield PastCertificate(
                tenant=tenant,
                der=der,
                added=from_stored(added),
                added_by=added_by,
                removed=None if removed is None else from_stored(removed),
                removed_by=removed_by,
            )
