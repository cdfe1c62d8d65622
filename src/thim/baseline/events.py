"""
TCB recovery events as steps: which number lies so many of them behind another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.errors import NotFoundError


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from thim.baseline.history import NumberHistory


def events_behind(
    history: Mapping[int, NumberHistory], number: int, count: int
) -> int:
    """
    Return the number that lies *count* (0 or more) TCB recovery events behind
    *number*.

    Events are the distinct dates among known numbers up to that of *number*;
    of several numbers of one event the newest counts, which at no event behind
    is *number* itself.

    Raises:
        NotFoundError: The event of *number* is not known, or too few are.
    """
    newest = _newest_of_events(history, number)
    entry = history.get(number)
    if entry is None or entry.recovery_event is None:
        msg = (
            f"the TCB recovery event of number {number} is not known, only of "
            f"{_spell(newest)}"
        )
        raise NotFoundError(msg, reason="rule-yields-nothing")
    events = sorted(event for event in newest if event <= entry.recovery_event)
    if count >= len(events):
        msg = (
            f"no number is known that lies {count} TCB recovery events behind "
            f"{number}, only {_spell(newest)}"
        )
        raise NotFoundError(msg, reason="rule-yields-nothing")
    return newest[events[-1 - count]]


def _newest_of_events(
    history: Mapping[int, NumberHistory], most: int
) -> Mapping[datetime, int]:
    return {
        event: number
        for number in sorted(history)
        if number <= most
        and (event := history[number].recovery_event) is not None
    }


def _spell(numbers: Mapping[datetime, int]) -> str:
    return (
        ", ".join(
            f"{number} ({event:%Y-%m-%d})"
            for event, number in sorted(numbers.items(), reverse=True)
        )
        or "none"
    )
