"""
What was decided, as it is read: events in their chain, and every move of a
head.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.collateral.records import CollateralKey, Kind
from thim.store.event_chain import Link
from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.store.file import StoreFile

_NEVER: Final = 2**62
_PAGE: Final = 1000
#: Events that one page looks at.
SPAN: Final = 250_000
_CHAIN: Final = """
    SELECT id, at, actor, action, detail, tenant, salt, digest
      FROM events WHERE id > ? ORDER BY id LIMIT ?
"""
_EVENTS: Final = """
    SELECT id, at, actor, action, detail, tenant, salt, digest
      FROM events
     WHERE at >= ? AND at < ? AND (? IS NULL OR tenant = ?)
       AND (? IS NULL OR actor = ?) AND (? IS NULL OR action = ?)
     ORDER BY at DESC, id DESC LIMIT ?
"""
_PAGES: Final = """
    SELECT id, at, actor, action, detail, tenant, salt, digest
      FROM events
     WHERE at >= ?1 AND at < ?2 AND (?3 IS NULL OR tenant = ?3)
       AND (?4 IS NULL OR actor = ?4) AND (?5 IS NULL OR action = ?5)
       AND id < ?6 AND id >= ?7
     ORDER BY id DESC LIMIT ?8
"""
_NEWEST: Final = """
    SELECT id, at, actor, action, detail, tenant, salt, digest
      FROM events ORDER BY id DESC LIMIT 1
"""
_MOVES: Final = """
    SELECT m.moved, s.vendor, s.kind, s.subject, s.structure,
           s.evaluation_number, r.issued, r.sha256, r.source
      FROM head_moves m
      JOIN series s ON s.id = m.series_id
      JOIN records r ON r.id = m.record_id
     WHERE m.moved >= ? AND m.moved < ?
     ORDER BY m.moved DESC, m.id DESC LIMIT ?
"""
#: Few series are of one kind and number, and few documents in each.
_DOCUMENT: Final = """
    SELECT s.vendor, s.kind, s.subject, s.structure
      FROM series s JOIN records r ON r.series_id = s.id
     WHERE s.vendor = 'intel' AND s.kind = ?
       AND (? IS NULL OR coalesce(s.evaluation_number, ?) = ?)
       AND r.sha256 = ?
     LIMIT 1
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """
    Which events are wanted: not before *since*, before *until*, of one
    *tenant*, *actor* or *action* alone; None is all.
    """

    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = None
    actor: str | None = None
    action: str | None = None

    @property
    def span(self) -> tuple[int, int]:
        """From when to when, as instants are stored."""
        return (
            -_NEVER if self.since is None else to_stored(self.since),
            _NEVER if self.until is None else to_stored(self.until),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """
    A page of events, the newest first; the next one has those *before* that
    number, and there is none where that is None.
    """

    links: tuple[Link, ...]
    before: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """From *moved* on, a document was served as the newest of its series."""

    moved: datetime
    key: CollateralKey
    evaluation_number: int | None
    issued: datetime
    sha256: bytes
    source: str


class AuditView:
    """
    The decisions of a store, through a *replica* of it.

    Each read raises `UnavailableError` where the store cannot be read.
    """

    def __init__(self, replica: StoreFile) -> None:
        self._replica = replica

    def chain(self, after: int = 0) -> Iterator[Link]:
        """
        Read all events *after* a number in the order of their chain.
        """
        last = after
        while rows := self._replica.rows(_CHAIN, (last, _PAGE)):
            yield from map(_link, rows)
            last = rows[-1][0]

    def newest(self) -> Link | None:
        """
        Return the last event of the chain.
        """
        row = self._replica.first(_NEWEST)
        return _link(row) if row else None

    def page(
        self,
        wanted: Filter,
        before: int | None = None,
        most: int = 50,
        span: int = SPAN,
    ) -> EventPage:
        """
        Return the *wanted* events *before* a number, the newest first, at
        *most* so many; it looks at *span* events and no more.
        """
        if before is None:
            newest = self.newest()
            before = 1 if newest is None else newest.id + 1
        first = max(before - span, 0)
        who = wanted.tenant, wanted.actor, wanted.action
        values = (*wanted.span, *who, before, first, most + 1)
        links = tuple(map(_link, self._replica.rows(_PAGES, values)))
        behind = first if first > 1 else None
        if len(links) > most:
            behind = links[most - 1].id
        return EventPage(links=links[:most], before=behind)

    def events(self, wanted: Filter, most: int) -> Sequence[Link]:
        """
        List the *wanted* events, the newest first, at *most* so many.
        """
        values = (
            *wanted.span,
            *(wanted.tenant, wanted.tenant),
            *(wanted.actor, wanted.actor),
            *(wanted.action, wanted.action),
            most,
        )
        return list(map(_link, self._replica.rows(_EVENTS, values)))

    def find_document(
        self, kind: str, number: int | None, sha256: bytes
    ) -> CollateralKey | None:
        """
        Find which of Intel's documents of a *kind* and a TCB evaluation data
        *number*, if it has one, has the digest *sha256*; None if none has.
        """
        values = (kind, number, number, number, sha256)
        row = self._replica.first(_DOCUMENT, values)
        if not row:
            return None
        vendor, found, subject, structure = row
        with making_sense():
            return CollateralKey(
                vendor=vendor,
                kind=Kind(found),
                subject=subject,
                structure=structure,
            )

    def moves(self, wanted: Filter, most: int) -> Sequence[Move]:
        """
        List the moves of heads between the *wanted* instants, the newest
        first, at *most* so many.
        """
        rows = self._replica.rows(_MOVES, (*wanted.span, most))
        with making_sense():
            return list(map(_move, rows))


def _link(row: tuple[Any, ...]) -> Link:
    row_id, at, actor, action, detail, tenant, salt, digest = row
    return Link(
        id=row_id,
        at=at,
        actor=actor,
        action=action,
        detail=detail,
        tenant=tenant,
        salt=salt,
        digest=digest,
    )


def _move(row: tuple[Any, ...]) -> Move:
    moved, vendor, kind, subject, structure, number, *rest = row
    issued, sha256, source = rest
    return Move(
        moved=from_stored(moved),
        key=CollateralKey(
            vendor=vendor,
            kind=Kind(kind),
            subject=subject,
            structure=structure,
        ),
        evaluation_number=number,
        issued=from_stored(issued),
        sha256=sha256,
        source=source,
    )
