"""
Notices and their way to webhooks, as they are read.
"""

from __future__ import annotations

import dataclasses
import json
import re

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from thim.store.replica import Replica

#: No lease and no plan is longer: one that is was made by a clock that was
#: ahead, and does not count.
LONGEST_LEASE: Final = timedelta(minutes=10)
LONGEST_PLAN: Final = timedelta(hours=2)

_NOTICES: Final = """
    SELECT id, kind, subject, at, body FROM notices ORDER BY id DESC LIMIT ?
"""
_SUBJECT: Final = re.compile(r"(.*)#(\d+):(\d+)")
_SUBJECTS: Final = "SELECT subject FROM notices WHERE kind = ? ORDER BY id"
_DELIVERIES: Final = """
    SELECT n.id, n.kind, n.subject, n.at, n.body,
           d.hook, d.attempts, d.due, d.delivered, d.detail
      FROM deliveries d JOIN notices n ON n.id = d.notice_id
     ORDER BY d.id DESC LIMIT ?
"""
_IS_DUE: Final = """
    SELECT 1 FROM deliveries
     WHERE (due <= ?1 OR due > ?2)
       AND (leased_until IS NULL OR leased_until <= ?1 OR leased_until > ?3)
       AND hook IN (SELECT value FROM json_each(?4))
     LIMIT 1
"""
_TALLIES: Final = """
    SELECT hook, count(delivered), count(due),
           sum(delivered IS NULL AND due IS NULL), max(delivered)
      FROM deliveries GROUP BY hook
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that was noticed once and for all; *body* is JSON."""

    id: int
    kind: str
    subject: str
    at: datetime
    body: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """
    A notice on its way to a webhook: *due* while it is to be tried, *delivered*
    once it was taken, neither where it was given up.
    """

    notice: Notice
    hook: str
    attempts: int
    due: datetime | None
    delivered: datetime | None
    detail: str | None

    @property
    def state(self) -> str:
        """
        ``delivered``, ``waiting`` or ``given-up``.
        """
        if self.delivered is not None:
            return "delivered"
        return "given-up" if self.due is None else "waiting"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many notices a webhook has taken, when last, and has not."""

    delivered: int = 0
    waiting: int = 0
    given_up: int = 0
    last: datetime | None = None


class NoticeView:
    """
    The notices of a store, through a *replica* of it.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def recent(self, most: int) -> Sequence[Notice]:
        """
        Return *most* notices, the latest first.

        Raises:
            UnavailableError: The store cannot be read.
        """
        rows = self._replica.rows(_NOTICES, (most,))
        with making_sense():
            return [_notice(*row) for row in rows]

    def subjects(self, kind: str) -> Collection[str]:
        """
        Return of what a *kind* of notice was given.

        Raises:
            UnavailableError: The store cannot be read.
        """
        return {row[0] for row in self._replica.rows(_SUBJECTS, (kind,))}

    def newest_of_each(self, kind: str) -> dict[str, tuple[int, int]]:
        """
        Return, of notices of a *kind* whose subjects are
        ``name#sequence:number``, sequence and number that were told last of
        each name.

        Raises:
            UnavailableError: The store cannot be read.
        """
        rows = self._replica.rows(_SUBJECTS, (kind,))
        with making_sense():
            parts = (_SUBJECT.fullmatch(subject) for (subject,) in rows)
            return {
                name: (int(sequence), int(number))
                for name, sequence, number in (p.groups() for p in parts if p)
            }

    def deliveries(self, most: int) -> Sequence[Delivery]:
        """
        Return *most* deliveries, the latest first.

        Raises:
            UnavailableError: The store cannot be read.
        """
        rows = self._replica.rows(_DELIVERIES, (most,))
        with making_sense():
            return [_delivery(row) for row in rows]

    def is_due(self, now: datetime, hooks: Collection[str]) -> bool:
        """
        Tell whether anything is to be sent to one of *hooks* now.

        Raises:
            UnavailableError: The store cannot be read.
        """
        values = (
            to_stored(now),
            to_stored(now + LONGEST_PLAN),
            to_stored(now + LONGEST_LEASE),
            json.dumps(list(hooks)),
        )
        return bool(self._replica.first(_IS_DUE, values))

    def tallies(self) -> Mapping[str, Tally]:
        """
        Return how each webhook that was ever told of anything did.

        Raises:
            UnavailableError: The store cannot be read.
        """
        rows = self._replica.rows(_TALLIES)
        with making_sense():
            return {hook: _tally(*row) for hook, *row in rows}


def _notice(
    notice_id: int, kind: str, subject: str, at: int, body: str
) -> Notice:
    return Notice(
        id=notice_id, kind=kind, subject=subject, at=from_stored(at), body=body
    )


def _delivery(row: tuple[Any, ...]) -> Delivery:
    hook, attempts, due, delivered, detail = row[5:]
    return Delivery(
        notice=_notice(*row[:5]),
        hook=hook,
        attempts=attempts,
        due=_instant(due),
        delivered=_instant(delivered),
        detail=detail,
    )


def _tally(
    delivered: int, waiting: int, given_up: int, last: int | None
) -> Tally:
    return Tally(
        delivered=delivered,
        waiting=waiting,
        given_up=given_up,
        last=_instant(last),
    )


def _instant(stored: int | None) -> datetime | None:
    return None if stored is None else from_stored(stored)
