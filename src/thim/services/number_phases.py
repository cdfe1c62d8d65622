"""
The life of an evaluation number, from its TCB recovery event until nothing of
it passes any more.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.baseline.history import History
    from thim.services.number_facts import NumberFacts


class Phase(enum.Enum):
    """What the vendor makes of a number."""

    AHEAD = "signed, not standard yet"
    STANDARD = "standard"
    BEHIND = "signed, behind standard"
    WITHDRAWN = "signed no more, its documents pass still"
    SIGNED = "signed, it was never seen what is standard"
    UNKNOWN = "archived, in no list of the vendor's"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """
    A *phase* and its time; *end* is None where it is not known to end.
    """

    phase: Phase
    begin: datetime.datetime
    end: datetime.datetime | None


def find_phases(facts: NumberFacts, history: History) -> list[Span]:
    """
    Tell the phases of a number, the first one first, by what is known of it
    (*facts*) and of all others (*history*).

    None where it is not even known when it began.
    """
    begin = _find_begin(facts)
    if begin is None:
        return []
    known = facts.history
    if known.first_listed is None:
        last = facts.passes_last or known.newest_next_update
        return [Span(phase=Phase.UNKNOWN, begin=begin, end=last)]
    end = None if facts.is_signed else known.withdrawn or known.last_listed
    spans = [*_signed(facts, history, begin, end)]
    if end is not None:
        last = facts.passes_last or end
        spans.append(Span(phase=Phase.WITHDRAWN, begin=end, end=last))
    return [s for s in spans if s.end is None or s.begin < s.end]


def _find_begin(facts: NumberFacts) -> datetime.datetime | None:
    history, release = facts.history, facts.release
    known = history.recovery_event or history.tcb_date
    if known is None and release is not None:
        return datetime.datetime.combine(
            release.released, datetime.time(), datetime.UTC
        )
    return known or history.newest_issued


def _signed(
    facts: NumberFacts,
    history: History,
    begin: datetime.datetime,
    end: datetime.datetime | None,
) -> Iterator[Span]:
    own = facts.history.own_promotion
    if own is None:
        phase = _find_phase(facts, history)
        yield Span(phase=phase, begin=begin, end=end)
        return
    # Who was there when somebody first looked may have been there for long.
    standard = max(own.seen, begin) if own.is_move else begin
    passed = _find_next(facts.number, history)
    if passed is not None and end is not None:
        passed = min(passed, end)
    yield Span(phase=Phase.AHEAD, begin=begin, end=standard)
    yield Span(phase=Phase.STANDARD, begin=standard, end=passed or end)
    if passed is not None:
        yield Span(phase=Phase.BEHIND, begin=passed, end=end)


def _find_phase(facts: NumberFacts, history: History) -> Phase:
    """Tell how a number stands at which ``standard`` was never seen."""
    if facts.history.promotion is not None:
        return Phase.BEHIND
    was_seen = any(each.promotion is not None for each in history.values())
    return Phase.AHEAD if was_seen else Phase.SIGNED


def _find_next(number: int, history: History) -> datetime.datetime | None:
    """Return when ``standard`` was first seen beyond *number*."""
    beyond: Sequence[datetime.datetime] = [
        each.own_promotion.seen
        for n, each in history.items()
        if n > number and each.own_promotion is not None
    ]
    return min(beyond, default=None)
