"""
Which evaluation number the rule of a baseline comes to.
"""

from __future__ import annotations

import dataclasses

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from thim.baseline.catalogue import find_release
from thim.baseline.events import events_behind
from thim.baseline.model import (
    STANDARD_AFTER,
    Baseline,
    Channel,
    Lag,
    Landscape,
    Number,
    TcbDate,
    Trailing,
)
from thim.baseline.rule import spell_rule
from thim.errors import NotFoundError
from thim.intel.names import Update


if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from thim.baseline.model import Rule


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    The number that answers, under which baseline, and for how long that holds.

    *inferred* marks a choice without the vendor's own word on its channel or
    numbers.  *until* is when the rule alone may choose another number, or
    something else comes into force; None when only a new document or decision
    can change it.  *is_withdrawn* marks a number that the vendor does not sign
    any more, *is_archived* also one that is not the newest where nobody knows
    what the vendor signs.  *warning* is for the caller.
    """

    number: int
    baseline: str
    inferred: bool = False
    until: datetime | None = None
    is_withdrawn: bool = False
    is_archived: bool = False
    warning: str | None = None


def choose(baseline: Baseline, landscape: Landscape, now: datetime) -> Choice:
    """
    Choose the number that the rule of *baseline* comes to at *now*.

    Raises:
        NotFoundError: Nothing is known of it, or nothing is archived at all.
    """
    choice = _choose(baseline, landscape, now)
    return lift(choice, baseline.floor or 0, landscape)


def lift(choice: Choice, floor: int, landscape: Landscape) -> Choice:
    """
    Return *choice*, or that of *floor* where it is below.

    Raises:
        NotFoundError: Nothing is known of *floor*.
    """
    if choice.number >= floor:
        return choice
    lifted = choose_number(choice.baseline, floor, landscape)
    return dataclasses.replace(lifted, until=choice.until)


def _choose(baseline: Baseline, landscape: Landscape, now: datetime) -> Choice:
    name = baseline.name
    match baseline.rule:
        case Number(number=number):
            return choose_number(name, number, landscape)
        case Channel(update=update):
            return _choose_channel(name, update, landscape, now)
        case Trailing() as rule:
            return _choose_trailing(name, rule, landscape, now)
        case Lag() as rule:
            return _choose_lag(name, rule, landscape, now)
        case TcbDate() as rule:
            return _choose_by_date(name, rule, landscape)


def _choose_lag(
    name: str, rule: Lag, landscape: Landscape, now: datetime
) -> Choice:
    standard = _choose_channel(name, Update.STANDARD, landscape, now)
    history = {
        number: entry
        for number, entry in landscape.history.items()
        if number in landscape.known
    }
    try:
        number = events_behind(history, standard.number, rule.events)
    except NotFoundError as e:
        raise _yields_nothing(name, rule, str(e)) from None
    return dataclasses.replace(standard, number=number)


def _choose_by_date(name: str, rule: TcbDate, landscape: Landscape) -> Choice:
    dates = {
        number: date
        for number in sorted(landscape.known)
        if (date := _tcb_date(number, landscape)) is not None
    }
    fitting = [n for n, date in dates.items() if date <= rule.date]
    if not fitting:
        known = ", ".join(f"{n} ({date:%F})" for n, date in dates.items())
        raise _yields_nothing(
            name, rule, f"these TCB dates are known: {known or 'none'}"
        )
    return Choice(number=max(fitting), baseline=name)


def _tcb_date(number: int, landscape: Landscape) -> datetime | None:
    entry = landscape.history.get(number)
    if entry is not None and entry.tcb_date is not None:
        return entry.tcb_date
    release = find_release(number)
    if release is None:
        return None
    return datetime.combine(release.released, time(), tzinfo=UTC)


def _yields_nothing(name: str, rule: Rule, why: str) -> NotFoundError:
    msg = f"baseline {name}, {spell_rule(rule)}, comes to no number: {why}"
    return NotFoundError(msg, reason="rule-yields-nothing")


def choose_number(name: str, number: int, landscape: Landscape) -> Choice:
    """
    Choose *number* for the baseline *name*.

    Raises:
        NotFoundError: Nothing is known of *number*.
    """
    if number in landscape.known:
        return Choice(number=number, baseline=name)

    known = ", ".join(map(str, sorted(landscape.known))) or "none"
    msg = (
        f"nothing is known of TCB evaluation data number {number}; known are "
        f"{known}"
    )
    raise NotFoundError(msg, reason="unknown-number")


def _choose_channel(
    name: str, update: Update, landscape: Landscape, now: datetime
) -> Choice:
    seen = landscape.channels.get(update)
    if seen is not None:
        return Choice(number=seen, baseline=name)
    if not landscape.signed:
        return _newest_archived(name, landscape)
    if update is Update.EARLY:
        return Choice(
            number=max(landscape.signed), baseline=name, inferred=True
        )
    return dataclasses.replace(
        _oldest_enough(name, STANDARD_AFTER, landscape, now), inferred=True
    )


def _choose_trailing(
    name: str, rule: Trailing, landscape: Landscape, now: datetime
) -> Choice:
    if not landscape.signed:
        return _newest_archived(name, landscape)
    return _oldest_enough(name, rule.age, landscape, now)


def _oldest_enough(
    name: str, age: timedelta, landscape: Landscape, now: datetime
) -> Choice:
    ripe = [n for n, event in landscape.signed.items() if event + age <= now]
    return Choice(
        number=max(ripe) if ripe else min(landscape.signed),
        baseline=name,
        until=_first_after(
            now, (event + age for event in landscape.signed.values())
        ),
    )


def _first_after(
    now: datetime, instants: Iterable[datetime]
) -> datetime | None:
    return min((i for i in instants if i > now), default=None)


def _newest_archived(name: str, landscape: Landscape) -> Choice:
    if landscape.archived:
        return Choice(
            number=max(landscape.archived), baseline=name, inferred=True
        )

    msg = "the archive holds no document of any TCB evaluation data number"
    raise NotFoundError(msg, reason="empty-archive")
