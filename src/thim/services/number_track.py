"""
At which numbers a baseline stood, and from when to when.

What it came to is worked out anew at some instants of the past, by what was
archived and decided then: where two that follow one another differ, the change
is looked for between them.  A number at which it stood for less time than
there is between two of these instants may go unnoticed.
"""

from __future__ import annotations

import dataclasses
import itertools

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from thim.baseline.definition import Kind
from thim.baseline.model import ROOT, Trailing, find_shipped
from thim.baseline.select import Standing, choose_held
from thim.errors import NotFoundError
from thim.services.landscape import complete, read_landscape
from thim.store.past import PastReader, find_first_move


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.history import NumberHistory
    from thim.baseline.model import Baseline
    from thim.store.replica import Replica

    _Find: TypeAlias = Callable[[datetime], "int | None"]

#: So far back is looked, and at so many instants.
_PERIOD: Final = timedelta(days=730)
_MOST_LOOKS: Final = 60
#: So well is it known when it moved.
_EXACT: Final = timedelta(hours=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """
    From *begin* to *end* it stood at *number*, None where it came to none;
    *end* is None where it still does.
    """

    number: int | None
    begin: datetime
    end: datetime | None


def find_track(replica: Replica, name: str, now: datetime) -> Sequence[Stay]:
    """
    Find at which numbers the baseline *name* stood, the first one first; the
    time before it came to any is left out.

    Raises:
        UnavailableError: The store cannot be read.
    """
    begin = find_first_move(replica)
    if begin is None or begin > now:
        return ()
    book = replica.book()
    begin = max(begin, now - _PERIOD)
    later = {at for at in _list_instants(replica, name) if begin < at < now}
    looks = [begin, *sorted(later)[-_MOST_LOOKS:], now]

    def find(at: datetime) -> int | None:
        return _find_number(replica, book, name, at)

    stays = _join(_list_changes(looks, find))
    return list(itertools.dropwhile(lambda stay: stay.number is None, stays))


def _list_instants(replica: Replica, name: str) -> Iterator[datetime]:
    """List when it is likely to have moved: from then on, or about then."""
    book = replica.book()
    for decision in book.enactments(Kind.BASELINE, name):
        yield decision.effective
    rules = list(_list_versions(book, name))
    for baseline in rules:
        for promotion in book.promotions(baseline):
            if promotion.effective is not None:
                yield promotion.effective
    ages = {b.rule.age for b in rules if isinstance(b.rule, Trailing)}
    for entry in replica.number_history().values():
        yield from _list_turns(entry, ages)


def _list_versions(book: Book, name: str) -> Iterator[Baseline]:
    shipped = find_shipped(name)
    if shipped is not None:
        yield shipped
    newest = book.newest_version(Kind.BASELINE, name)
    for version in range(1, newest + 1):
        yield book.read_baseline(name, version)


def _list_turns(
    entry: NumberHistory, ages: Iterable[timedelta]
) -> Iterator[datetime]:
    dates = (entry.first_listed, entry.withdrawn, entry.promoted, entry.early)
    yield from (at for at in dates if at is not None)
    if entry.recovery_event is not None:
        yield from (entry.recovery_event + age for age in ages)


def _find_number(
    replica: Replica, book: Book, name: str, at: datetime
) -> int | None:
    past = PastReader(replica, at)
    try:
        baseline = book.find_baseline(name, at, at)
        standing = Standing(
            tenant=ROOT, own=baseline, chosen=baseline, book=book, at=at
        )
        landscape = complete(read_landscape(past), baseline, past)
        return choose_held(standing, baseline, landscape).number
    except NotFoundError:
        return None


def _list_changes(
    looks: Sequence[datetime], find: _Find
) -> Iterator[tuple[datetime, int | None]]:
    """List from when on it stood where, by looking there and between."""
    before, number = looks[0], find(looks[0])
    yield before, number
    for at in looks[1:]:
        found = find(at)
        if found != number:
            yield _find_change(before, at, number, find), found
        before, number = at, found


def _find_change(
    before: datetime, after: datetime, number: int | None, find: _Find
) -> datetime:
    while after - before > _EXACT:
        middle = before + (after - before) / 2
        if find(middle) == number:
            before = middle
        else:
            after = middle
    return after


def _join(
    changes: Iterable[tuple[datetime, int | None]],
) -> Iterator[Stay]:
    found = list(changes)
    ends = [begin for begin, _ in found[1:]]
    for (begin, number), end in zip(found, [*ends, None], strict=True):
        yield Stay(number=number, begin=begin, end=end)
