"""
What is known of each TCB evaluation data number, from the archive's own
evidence: the vendor's signed lists, its channels as they were seen, and the
documents of the number.

What is inferred from the calendar is no evidence and has no place here.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.intel.names import Tee, Update


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from thim.intel.numbers import EvaluationNumber, NumberList


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A channel was *seen* to point to *number*, which was news."""

    update: Update
    number: int
    seen: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """
    A channel was first *seen* at *number*, having pointed to *before* until
    then: None where nobody had looked yet, so that it may have been there for
    long.
    """

    seen: datetime
    number: int
    before: int | None

    @property
    def is_move(self) -> bool:
        """
        Whether the vendor was seen to move, and not only to be there.
        """
        return self.before is not None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDates:
    """
    The latest issue date and the latest next update among the documents of a
    number that are current.
    """

    issued: datetime
    next_update: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NumberHistory:
    """
    What is known of one number; None is unknown, or has not happened.

    Attributes:
        recovery_event, tcb_date: As in the newest signed list that names it.
        first_listed, last_listed: The issue dates of the first and the last
            archived list that names it, of either TEE.
        is_signed_now: Whether the newest list of each TEE names it.
        withdrawn: The issue date of the first list that no longer names it, of
            the TEE that was first; not of a number that came back.
        promotion: The arrival of ``standard`` at this number or beyond.
        disclosure: The arrival of ``early`` at this number or beyond.
        newest_issued, newest_next_update: Of its documents: clients that check
            ``nextUpdate`` refuse all of them after the latter.
    """

    number: int
    recovery_event: datetime | None = None
    tcb_date: datetime | None = None
    first_listed: datetime | None = None
    last_listed: datetime | None = None
    is_signed_now: bool = False
    withdrawn: datetime | None = None
    promotion: Arrival | None = None
    disclosure: Arrival | None = None
    newest_issued: datetime | None = None
    newest_next_update: datetime | None = None

    @property
    def promoted(self) -> datetime | None:
        """
        When ``standard`` was first seen at this number or beyond.
        """
        return None if self.promotion is None else self.promotion.seen

    @property
    def early(self) -> datetime | None:
        """
        When ``early`` was first seen at this number or beyond.
        """
        return None if self.disclosure is None else self.disclosure.seen

    @property
    def is_skipped(self) -> bool:
        """
        Whether ``standard`` was seen to move beyond this number without
        having been seen at it.
        """
        return (
            self.promotion is not None
            and self.promotion.is_move
            and self.promotion.number != self.number
        )

    @property
    def own_promotion(self) -> Arrival | None:
        """
        The arrival of ``standard`` at this very number.
        """
        is_own = self.promotion and self.promotion.number == self.number
        return self.promotion if is_own else None


#: By number, in ascending order.
History = dict[int, NumberHistory]


def make_history(
    listed: Mapping[int, NumberHistory],
    sightings: Iterable[Sighting],
    documents: Mapping[int, DocumentDates],
) -> History:
    """
    Put together what is known.

    Args:
        listed: What the signed lists say (`read_lists`).
        sightings: Of both channels, in the order in which they were told.
        documents: The dates of the documents of each number.
    """
    told = list(sightings)
    standard = _arrivals(told, Update.STANDARD)
    early = _arrivals(told, Update.EARLY)
    known = {*listed, *documents, *(sighting.number for sighting in told)}
    return {
        number: dataclasses.replace(
            listed.get(number, NumberHistory(number=number)),
            promotion=_first_beyond(standard, number),
            disclosure=_first_beyond(early, number),
            newest_issued=_issued(documents.get(number)),
            newest_next_update=_next_update(documents.get(number)),
        )
        for number in sorted(known)
    }


def _arrivals(
    sightings: Iterable[Sighting], update: Update
) -> Sequence[Arrival]:
    standing: list[Sighting] = []
    for sighting in sightings:
        if sighting.update is not update:
            continue
        # A channel goes back only where somebody better informed overrules:
        # what was said beyond that was never so.
        while standing and standing[-1].number > sighting.number:
            standing.pop()
        if not standing or standing[-1].number != sighting.number:
            standing.append(sighting)
    befores = [None, *(sighting.number for sighting in standing[:-1])]
    return [
        Arrival(seen=sighting.seen, number=sighting.number, before=before)
        for sighting, before in zip(standing, befores, strict=False)
    ]


def _first_beyond(arrivals: Iterable[Arrival], number: int) -> Arrival | None:
    return next((a for a in arrivals if a.number >= number), None)


def _issued(dates: DocumentDates | None) -> datetime | None:
    return None if dates is None else dates.issued


def _next_update(dates: DocumentDates | None) -> datetime | None:
    return None if dates is None else dates.next_update


def read_lists(lists: Collection[NumberList]) -> dict[int, NumberHistory]:
    """
    Sum up what signed *lists* say of each number, whatever their order.
    """
    ordered = sorted(lists, key=lambda one: (one.issue_date, one.tee.value))
    by_tee = [[one for one in ordered if one.tee is tee] for tee in Tee]
    archived = [of_tee for of_tee in by_tee if of_tee]
    signed = find_signed(
        [{e.number for e in of_tee[-1].numbers} for of_tee in archived]
    )
    spans = [_spans(of_tee) for of_tee in archived]
    newest = {entry.number: entry for one in ordered for entry in one.numbers}
    return {
        number: _sum_up(
            entry,
            [of_tee[number] for of_tee in spans if number in of_tee],
            is_signed_now=number in signed,
        )
        for number, entry in newest.items()
    }


def find_signed(newest: Sequence[Collection[int]]) -> frozenset[int]:
    """
    Return the numbers that count as signed, from those in the *newest* list of
    each TEE that has one.

    One number serves SGX and TDX, so it is those that all name; where they
    have nothing in common, what either names.
    """
    if not newest:
        return frozenset()
    shared = frozenset(newest[0]).intersection(*newest[1:])
    return shared or frozenset().union(*newest)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """In which lists of one TEE a number stands, and which no longer has it."""

    first: datetime
    last: datetime
    dropped: datetime | None


def _spans(lists: Sequence[NumberList]) -> Mapping[int, _Span]:
    issued = [*(one.issue_date for one in lists), None]
    places = [
        (n, entry) for n, one in enumerate(lists) for entry in one.numbers
    ]
    first = {entry.number: n for n, entry in reversed(places)}
    last = {entry.number: n for n, entry in places}
    return {
        number: _Span(
            first=lists[first[number]].issue_date,
            last=lists[n].issue_date,
            dropped=issued[n + 1],
        )
        for number, n in last.items()
    }


def _sum_up(
    entry: EvaluationNumber, spans: Sequence[_Span], *, is_signed_now: bool
) -> NumberHistory:
    dropped = [span.dropped for span in spans if span.dropped is not None]
    return NumberHistory(
        number=entry.number,
        recovery_event=entry.recovery_event,
        tcb_date=entry.tcb_date,
        first_listed=min(span.first for span in spans),
        last_listed=max(span.last for span in spans),
        is_signed_now=is_signed_now,
        withdrawn=None if is_signed_now else min(dropped, default=None),
    )
