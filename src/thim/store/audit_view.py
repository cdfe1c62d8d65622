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
_MOVES: Final = """
    SELECT m.moved, s.vendor, s.kind, s.subject, s.structure,
           s.evaluation_number, r.issued, r.sha256, r.source
      FROM head_moves m
      JOIN series s ON s.id = m.series_id
      JOIN records r ON r.id = m.record_id
     WHERE m.moved >= ? AND m.moved < ?
     ORDER BY m.moved DESC, m.id DESC LIMIT ?
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
