"""
What is on the agenda, and how it goes, read from a replica.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Any, Final

from thim.collateral.amd_keys import VCEK_TARGETS
from thim.collateral.records import AMD, INTEL, CollateralKey, Kind
from thim.collateral.targets import (
    CLOCK_SKEW,
    LONGEST_LEASE,
    LONGEST_PLAN,
    PCK_TARGETS,
    AddressState,
    Progress,
    Target,
)
from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored
from thim.store.numbers import PLACES


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from thim.store.replica import Replica

_VENDORS: Final = (INTEL, AMD)
_COLUMNS: Final = """
    name, due, attempted, answered, failures, reason, detail, absent_until,
    leased_until
"""
_ONE: Final = f"SELECT {_COLUMNS} FROM targets WHERE name = ?"  # noqa: S608
#: Between these lie the names of platforms' PCK certificates: there may be a
#: million of them.
_FIRST: Final = PCK_TARGETS[0]
_BEHIND: Final = PCK_TARGETS[1]
#: Three ranges of the index of names, without what lies between: neither these
#: nor VCEKs.
_OF_DOCUMENTS: Final = f"""(
    SELECT * FROM targets WHERE name < '{VCEK_TARGETS[0]}' UNION ALL
    SELECT * FROM targets
     WHERE name >= '{VCEK_TARGETS[1]}' AND name < '{_FIRST}' UNION ALL
    SELECT * FROM targets WHERE name >= '{_BEHIND}'
)"""  # noqa: S608 - constants only
_DOCUMENTS: Final = f"SELECT {_COLUMNS} FROM {_OF_DOCUMENTS} ORDER BY name"  # noqa: S608
_FAILED: Final = f"""
    SELECT {_COLUMNS} FROM targets
     WHERE reason = ? AND due IS NOT NULL ORDER BY name
"""  # noqa: S608
_IS_THEIRS: Final = "instr(?6, ' ' || substr(name, 1, instr(name, '/'))) > 0"
_IS_FREE: Final = "(coalesce(leased_until, 0) <= ?1 OR leased_until > ?2)"
#: Those that a clock which was ahead has planned or asked for are due, too.
_DUE_DOCUMENTS: Final = f"""
    SELECT name FROM {_OF_DOCUMENTS}
     WHERE {_IS_FREE} AND {_IS_THEIRS}
       AND (+due <= ?1 OR +due > ?3 OR (+due IS NOT NULL AND attempted > ?4))
     ORDER BY +due LIMIT ?5
"""  # noqa: S608
#: Found by the index of when they are due; ``+`` has that of names left alone.
_DUE_PLATFORMS: Final = f"""
    SELECT name FROM targets
     WHERE +name >= '{_FIRST}' AND +name < '{_BEHIND}' AND {_IS_FREE}
       AND due <= ?1
     ORDER BY due LIMIT ?3
"""  # noqa: S608
_LATE_PLATFORMS: Final = f"""
    SELECT name FROM targets
     WHERE +name >= '{_FIRST}' AND +name < '{_BEHIND}' AND {_IS_FREE}
       AND due > ?4
     ORDER BY due LIMIT ?3
"""  # noqa: S608
_ADDRESSES: Final = """
    SELECT address, free_at, requests, failures, closed_until, answered,
           failed, reason, detail, clock_ahead
      FROM addresses ORDER BY address
"""
_HEADS: Final = """
    SELECT s.vendor, s.kind, s.subject, s.structure, s.evaluation_number,
           r.issued, r.next_update, c.revoked
      FROM heads h
      JOIN series s ON s.id = h.series_id
      JOIN records r ON r.id = h.record_id
      JOIN issuer_chains c ON c.id = r.chain_id
"""
_HINTS: Final = "SELECT fmspc, platform FROM hints ORDER BY fmspc"
_REVOKED: Final = f"""
    SELECT count(DISTINCT id / {PLACES}) FROM pck_certificates
     WHERE is_revoked = 1 AND is_current = 1
"""  # noqa: S608 - a constant only
_PLATFORMS: Final = "SELECT count(*) FROM platforms"
_BARE: Final = """
    SELECT count(*) FROM platforms WHERE fmspc IS NULL AND retired IS NULL
"""
_COUNTERS: Final = """
    SELECT name, label, count, last FROM counters ORDER BY name, label
"""
_QUARANTINED: Final = """
    SELECT sha256, length(body), source, reason, detail, first_seen, last_seen
      FROM quarantine
"""
_QUARANTINE: Final = f"""
    {_QUARANTINED} WHERE last_seen >= ?
     ORDER BY last_seen DESC, id DESC LIMIT ?
"""
_QUARANTINED_ONE: Final = f"{_QUARANTINED} WHERE sha256 = ?"
_ANCHORS: Final = """
    SELECT spki_sha256, der, vendor, added, actor
      FROM added_anchors ORDER BY added
"""
_REFUSED: Final = "SELECT body FROM quarantine WHERE sha256 = ?"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The dates of the newest document of a key and number."""

    key: CollateralKey
    number: int | None
    issued: datetime
    next_update: datetime | None
    is_revoked: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """How often something was noticed, and when last."""

    name: str
    label: str
    count: int
    last: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What lies in quarantine; *size* in bytes, as far as it was kept."""

    sha256: bytes
    size: int
    source: str
    reason: str
    detail: str
    first_seen: datetime
    last_seen: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AddedAnchor:
    """
    A root key that the operator added: the SHA-256 digests of the key and of
    the certificate, when, and by whom.
    """

    spki_sha256: bytes
    sha256: bytes
    vendor: str
    added: datetime
    actor: str


class Watch:
    """
    The agenda as *replica* shows it.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def find(self, target: Target) -> Progress | None:
        """
        Return what is known of asking for *target*, None if nothing.
        """
        row = self._replica.first(_ONE, (str(target),))
        with making_sense():
            return _progress(row) if row else None

    def progress(self) -> Sequence[Progress]:
        """
        Return what is known of each target that is a document; not of the PCK
        certificates of platforms, nor of VCEKs.
        """
        rows = self._replica.rows(_DOCUMENTS)
        with making_sense():
            return [_progress(row) for row in rows]

    def failed(self, reason: str) -> Sequence[Target]:
        """
        Return every target that is kept fresh and last failed for *reason*.
        """
        rows = self._replica.rows(_FAILED, (reason,))
        with making_sense():
            return [_progress(row).target for row in rows]

    def due(
        self, now: datetime, most: int, vendors: Collection[str] = _VENDORS
    ) -> Sequence[Target]:
        """
        Return *most* targets of *vendors* that are to be asked for, longest
        due first, and documents before platforms.
        """
        theirs = "".join(f" {vendor}/" for vendor in vendors)
        at = to_stored(now)
        too_late = to_stored(now + LONGEST_PLAN)
        too_long = to_stored(now + LONGEST_LEASE)
        ahead = to_stored(now + CLOCK_SKEW)
        rows = self._replica.rows(
            _DUE_DOCUMENTS, (at, too_long, too_late, ahead, most, theirs)
        )
        if INTEL in vendors:
            left = most - len(rows)
            rows += self._due_platforms(at, too_long, too_late, left)
        with making_sense():
            return [Target.from_name(name) for (name,) in rows]

    def _due_platforms(
        self, at: int, too_long: int, too_late: int, most: int
    ) -> list[tuple[Any, ...]]:
        rows = self._replica.rows(_DUE_PLATFORMS, (at, too_long, most))
        left = most - len(rows)
        values = (at, too_long, left, too_late)
        return rows + self._replica.rows(_LATE_PLATFORMS, values)

    def addresses(self) -> Sequence[AddressState]:
        """
        Return what is known of each vendor address.
        """
        rows = self._replica.rows(_ADDRESSES)
        with making_sense():
            return [_address_state(row) for row in rows]

    def heads(self) -> Sequence[Head]:
        """
        Return the dates of the newest document of each key and number.
        """
        rows = self._replica.rows(_HEADS)
        with making_sense():
            return [_head(row) for row in rows]

    def hints(self) -> Mapping[str, str]:
        """
        Return the FMSPCs of the vendor's unsigned list and their platforms.
        """
        return dict(self._replica.rows(_HINTS))

    def counters(self) -> Sequence[Counter]:
        """
        Return how often each thing was refused or noticed.
        """
        rows = self._replica.rows(_COUNTERS)
        with making_sense():
            return [
                Counter(name=n, label=label, count=c, last=from_stored(last))
                for n, label, c, last in rows
            ]

    def revoked_platforms(self) -> int:
        """
        Return how many platforms have a PCK certificate that is revoked.
        """
        (count,) = self._replica.first(_REVOKED)
        return int(count)

    def count_platforms(self) -> tuple[int, int]:
        """
        Return how many platforms are known, and how many of those in service
        have no PCK certificate.
        """
        (known,), (bare,) = map(self._replica.first, (_PLATFORMS, _BARE))
        return int(known), int(bare)

    def refused(self, since: datetime, most: int) -> Sequence[Refused]:
        """
        Return what was refused *since* then, the latest first.
        """
        rows = self._replica.rows(_QUARANTINE, (to_stored(since), most))
        with making_sense():
            return [_refused(row) for row in rows]

    def find_refused(self, sha256: bytes) -> Refused | None:
        """
        Return what was refused that has this digest.
        """
        row = self._replica.first(_QUARANTINED_ONE, (sha256,))
        with making_sense():
            return _refused(row) if row else None

    def added_anchors(self) -> Sequence[AddedAnchor]:
        """
        Return the root keys that the operator added.
        """
        rows = self._replica.rows(_ANCHORS)
        with making_sense():
            return [
                AddedAnchor(
                    spki_sha256=pin,
                    sha256=hashlib.sha256(der).digest(),
                    vendor=vendor,
                    added=from_stored(added),
                    actor=actor,
                )
                for pin, der, vendor, added, actor in rows
            ]

    def refused_body(self, sha256: bytes) -> bytes | None:
        """
        Return the bytes of what was refused, as far as they were kept.
        """
        row = self._replica.first(_REFUSED, (sha256,))
        return row[0] if row else None


def _instant(stored: int | None) -> datetime | None:
    return None if stored is None else from_stored(stored)


def _progress(row: tuple[Any, ...]) -> Progress:
    name, due, attempted, answered, failures, reason, detail, *rest = row
    absent_until, leased_until = rest
    return Progress(
        target=Target.from_name(name),
        due=_instant(due),
        attempted=_instant(attempted),
        answered=_instant(answered),
        failures=failures,
        reason=reason,
        detail=detail,
        absent_until=_instant(absent_until),
        leased_until=_instant(leased_until),
    )


def _address_state(row: tuple[Any, ...]) -> AddressState:
    address, free_at, requests, failures, closed_until, *rest = row
    answered, failed, reason, detail, ahead = rest
    return AddressState(
        address=address,
        free_at=from_stored(free_at),
        requests=requests,
        failures=failures,
        closed_until=_instant(closed_until),
        answered=_instant(answered),
        failed=_instant(failed),
        reason=reason,
        detail=detail,
        clock_ahead=None if ahead is None else ahead / 1_000_000,
    )


def _head(row: tuple[Any, ...]) -> Head:
    vendor, kind, subject, structure, number, issued, next_update, rev = row
    return Head(
        key=CollateralKey(
            vendor=vendor,
            kind=Kind(kind),
            subject=subject,
            structure=structure,
        ),
        number=number,
        issued=from_stored(issued),
        next_update=_instant(next_update),
        is_revoked=bool(rev),
    )


def _refused(row: tuple[Any, ...]) -> Refused:
    sha256, size, source, reason, detail, first_seen, last_seen = row
    return Refused(
        sha256=sha256,
        size=size,
        source=source,
        reason=reason,
        detail=detail,
        first_seen=from_stored(first_seen),
        last_seen=from_stored(last_seen),
    )
