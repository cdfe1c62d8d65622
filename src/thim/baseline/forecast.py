"""
When a floating baseline will move next, as far as that can be told.

``standard`` is told by the vendor's habit: a number's TCB recovery event, and
the lag at which ``standard`` came to earlier numbers, which an archive has seen
itself.  The first sighting of a channel shows only that it had come there *by
then*: it counts as long as no move at all was seen, and is named for what it
is.  A number that was passed over has no lag of its own.
"""

from __future__ import annotations

import dataclasses
import statistics

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.baseline.events import events_behind
from thim.baseline.model import Channel, Lag, Rule, TcbDate, Trailing
from thim.errors import NotFoundError
from thim.intel.names import Update


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from thim.baseline.history import Arrival, NumberHistory

#: A number that is overdue by more has probably been passed over.
PATIENCE: Final = timedelta(days=30)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """
    That a baseline will move to *number*, most likely *at* that instant.

    *earliest* and *latest* span what was observed, None where that is no span.
    *basis* are the numbers whose promotions it rests on, none where it is a
    matter of arithmetic.  *confidence* says in words how good it is.
    """

    number: int
    at: datetime
    earliest: datetime | None = None
    latest: datetime | None = None
    basis: tuple[int, ...] = ()
    confidence: str

    def is_overdue(self, now: datetime) -> bool:
        """
        Tell whether it should have come true before *now*.
        """
        return now > (self.latest or self.at)


def forecast_promotion(
    history: Mapping[int, NumberHistory], number: int
) -> Forecast | None:
    """
    Tell when *number* will become ``standard``; None if that is unknown, or
    ``standard`` is there already, or beyond.
    """
    entry = history.get(number)
    if entry is None or entry.recovery_event is None or entry.promotion:
        return None
    lags = observed_lags(history)
    if lags:
        return _by_lags(history, number, entry.recovery_event, lags)
    return _by_bounds(number, entry.recovery_event, _bounds(history))


def observed_lags(
    history: Mapping[int, NumberHistory],
) -> Mapping[int, timedelta]:
    """
    Return, by number, how long after its TCB recovery event ``standard`` was
    seen to move to it.
    """
    return _lags(history, is_move=True)


def _bounds(
    history: Mapping[int, NumberHistory],
) -> Mapping[int, timedelta]:
    return _lags(history, is_move=False)


def _lags(
    history: Mapping[int, NumberHistory], *, is_move: bool
) -> Mapping[int, timedelta]:
    return {
        number: promotion.seen - entry.recovery_event
        for number, entry in sorted(history.items())
        if (promotion := entry.own_promotion) is not None
        and promotion.is_move is is_move
        and entry.recovery_event is not None
    }


def _by_lags(
    history: Mapping[int, NumberHistory],
    number: int,
    event: datetime,
    lags: Mapping[int, timedelta],
) -> Forecast:
    is_span = len(lags) > 1
    return Forecast(
        number=number,
        at=event + _median(lags.values()),
        earliest=event + min(lags.values()) if is_span else None,
        latest=event + max(lags.values()) if is_span else None,
        basis=tuple(lags),
        confidence=_spell_lags(lags) + _spell_skipped(history),
    )


def _median(lags: Iterable[timedelta]) -> timedelta:
    return timedelta(
        seconds=statistics.median(lag.total_seconds() for lag in lags)
    )


def _by_bounds(
    number: int, event: datetime, bounds: Mapping[int, timedelta]
) -> Forecast | None:
    if not bounds:
        return None
    seen, bound = min(bounds.items(), key=lambda item: item[1])
    return Forecast(
        number=number,
        at=event + bound,
        basis=(seen,),
        confidence=(
            f"rests on no promotion that was seen: standard pointed to {seen} "
            f"when it was first looked at, {_days(bound)} after the TCB "
            f"recovery event, so it may well be earlier"
        ),
    )


def _spell_lags(lags: Mapping[int, timedelta]) -> str:
    if len(lags) == 1:
        ((number, lag),) = lags.items()
        return (
            f"rests on 1 promotion, of {number}: {_days(lag)} after the TCB "
            f"recovery event"
        )
    numbers = ", ".join(map(str, lags))
    shortest, longest = min(lags.values()), max(lags.values())
    return (
        f"rests on {len(lags)} promotions, of {numbers}: {shortest.days} to "
        f"{_days(longest)} after the TCB recovery event"
    )


def _spell_skipped(history: Mapping[int, NumberHistory]) -> str:
    skipped = [n for n in sorted(history) if history[n].is_skipped]
    if not skipped:
        return ""
    return f"; passed over: {', '.join(map(str, skipped))}"


def _days(lag: timedelta) -> str:
    return f"{lag.days} day{'' if lag.days == 1 else 's'}"


def forecast_rule(
    rule: Rule | Lag | TcbDate,
    history: Mapping[int, NumberHistory],
    now: datetime,
) -> Forecast | None:
    """
    Tell when *rule* will next choose another number than at *now*, and which;
    None if it never will, or that is unknown.

    Floors and holds are not considered.
    """
    if isinstance(rule, Trailing):
        return _forecast_trailing(rule.age, history, now)
    if isinstance(rule, Lag):
        return _forecast_lag(rule.events, history, now)
    if isinstance(rule, Channel) and rule.update is Update.STANDARD:
        return next(iter(_promotions(history, now)), None)
    # A number and a date stay; what ``early`` will be is not disclosed before.
    return None


def _forecast_trailing(
    age: timedelta, history: Mapping[int, NumberHistory], now: datetime
) -> Forecast | None:
    ripening = {
        number: entry.recovery_event + age
        for number, entry in history.items()
        if entry.is_signed_now and entry.recovery_event is not None
    }
    if not ripening:
        return None
    ripe = [number for number, at in ripening.items() if at <= now]
    current = max(ripe) if ripe else min(ripening)
    coming = [
        Forecast(
            number=number,
            at=at,
            confidence=f"exact, if the vendor signs {number} until then",
        )
        for number, at in ripening.items()
        if number > current and at > now
    ]
    return next(iter(_in_order(coming)), None)


def _forecast_lag(
    events: int, history: Mapping[int, NumberHistory], now: datetime
) -> Forecast | None:
    arrivals: Iterable[Arrival | None] = (
        entry.promotion for entry in history.values()
    )
    standard = max((a.number for a in arrivals if a), default=None)
    current = None if standard is None else _behind(history, standard, events)
    for promotion in _promotions(history, now):
        number = _behind(history, promotion.number, events)
        if number is not None and number != current:
            confidence = (
                f"when standard moves to {promotion.number}, which "
                f"{promotion.confidence}"
            )
            return dataclasses.replace(
                promotion, number=number, confidence=confidence
            )
    return None


def _behind(
    history: Mapping[int, NumberHistory], number: int, events: int
) -> int | None:
    try:
        return events_behind(history, number, events)
    except NotFoundError:
        return None


def _promotions(
    history: Mapping[int, NumberHistory], now: datetime
) -> Sequence[Forecast]:
    """
    Forecast the promotions to come, without those that are long overdue as
    long as there are others.
    """
    found = _in_order(
        forecast
        for number, entry in history.items()
        if entry.is_signed_now
        and (forecast := forecast_promotion(history, number)) is not None
    )
    coming = [f for f in found if not f.is_overdue(now - PATIENCE)]
    return coming or found[-1:]


def _in_order(forecasts: Iterable[Forecast]) -> Sequence[Forecast]:
    # Of several numbers of one event the newest is chosen.
    return sorted(forecasts, key=lambda f: (f.at, -f.number))
