"""
Which evaluation number answered a tenant, from when to when: worked out anew
from what was decided and known at each instant.
"""

from __future__ import annotations

import bisect
import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.select import Wish, find_standing, resolve
from thim.errors import ForbiddenError, NotFoundError
from thim.services.landscape import complete, read_landscape
from thim.store.evidence_view import EvidenceView
from thim.store.past import PastReader


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.baseline.model import Landscape
    from thim.store.replica import Replica


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """
    From *since* to *until*, *number* answered *tenant*, by a version of its
    *baseline*; or none did, and *detail* says why.
    """

    tenant: str
    since: datetime
    until: datetime
    number: int | None
    baseline: str | None
    version: int | None
    detail: str | None = None


class Spans:
    """
    Works spans out from a *replica*, up to the instant *until*.
    """

    def __init__(self, replica: Replica, until: datetime) -> None:
        self._replica = replica
        self._until = until
        self._turns = EvidenceView(replica).turns(until)
        self._landscapes: dict[datetime, Landscape] = {}

    def find(self, tenant: str, since: datetime) -> Iterator[Span]:
        """
        Find the spans of a *tenant* that there is, since an instant.

        Raises:
            UnavailableError: The store cannot be read.
        """
        last: Span | None = None
        for span in self._walk(tenant, since):
            if last is not None and _is_same(last, span):
                last = dataclasses.replace(last, until=span.until)
                continue
            if last is not None:
                yield last
            last = span
        if last is not None:
            yield last

    def _walk(self, tenant: str, since: datetime) -> Iterator[Span]:
        at = since
        while at < self._until:
            span, ends = self._judge(tenant, at)
            end = min(e for e in (*ends, self._until) if e > at)
            yield dataclasses.replace(span, until=end)
            at = end

    def _judge(
        self, tenant: str, at: datetime
    ) -> tuple[Span, Sequence[datetime]]:
        reader = PastReader(self._replica, at)
        book = reader.book()
        place = bisect.bisect_right(self._turns, at)
        ends = [*self._turns[place : place + 1], book.next_change(at)]
        span = Span(
            tenant=tenant,
            since=at,
            until=at,
            number=None,
            baseline=None,
            version=None,
        )
        try:
            wish = Wish(tenant=tenant)
            standing = find_standing(wish, book, None, at)
            span = dataclasses.replace(
                span,
                baseline=standing.chosen.name,
                version=standing.chosen.version,
            )
            known = self._find_landscape(reader, at)
            landscape = complete(known, standing.chosen, reader)
            choice = resolve(wish, standing, landscape)
        except (NotFoundError, ForbiddenError) as e:
            span = dataclasses.replace(span, detail=str(e))
        else:
            span = dataclasses.replace(span, number=choice.number)
            ends.append(choice.until)
        return span, [end for end in ends if end is not None]

    def _find_landscape(self, reader: PastReader, at: datetime) -> Landscape:
        if at not in self._landscapes:
            self._landscapes[at] = read_landscape(reader)
        return self._landscapes[at]


def _is_same(one: Span, other: Span) -> bool:
    return (one.number, one.baseline, one.version, one.detail) == (
        other.number,
        other.baseline,
        other.version,
        other.detail,
    )
