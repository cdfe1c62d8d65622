"""
From a baseline, or a caller's wish, to the one evaluation number that answers.

Real clients cannot help sending ``update=standard`` (Intel's QCNL with every
TCB info and identity, dcap-qvl with identities), so it is no wish.  The order
of precedence:

1. ``update`` together with ``tcbEvaluationDataNumber`` is refused, as by
   Intel; so are two different numbers, in whatever parameters.
2. A number, plain or in ``customParameter``, is taken.  Under a baseline that
   is itself a number, another one is refused.
3. ``update=early`` counts where the baseline in force is ``early`` or
   ``standard``, and where nobody chose a baseline; else the baseline answers
   and a warning says so.
4. The baseline in force: the one chosen by prefix, else the default.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.model import (
    DEFAULT,
    STANDARD_AFTER,
    Baseline,
    Channel,
    Landscape,
    Number,
    Trailing,
    find_baseline,
)
from thim.errors import NotFoundError, ParameterError
from thim.intel.names import Update


if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    The number that answers, under which baseline, and for how long that holds.

    *inferred* marks a choice without the vendor's own word on its channel or
    numbers.  *until* is when the rule alone may choose another number; None
    when only a new document can change it.  *warning* is for the caller.
    """

    number: int
    baseline: str
    inferred: bool = False
    until: datetime | None = None
    warning: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What a request says about the number it wants.

    *baseline* is the prefix's, *number* is ``tcbEvaluationDataNumber``,
    *custom_number* the one inside ``customParameter``.
    """

    baseline: str | None = None
    update: Update | None = None
    number: int | None = None
    custom_number: int | None = None


def resolve(wish: Wish, landscape: Landscape, now: datetime) -> Choice:
    """
    Choose the number that answers *wish* at *now*.

    Raises:
        ParameterError: The wish contradicts itself.
        NotFoundError: Nothing is known of the baseline or the number.
    """
    name = wish.baseline
    in_force = DEFAULT if name is None else find_baseline(name)
    number = _explicit_number(wish, in_force)
    if number is not None:
        chosen = Baseline(name=str(number), rule=Number(number=number))
        return choose(chosen, landscape, now)
    if wish.update is Update.EARLY:
        if wish.baseline is None or isinstance(in_force.rule, Channel):
            return choose(find_baseline("early"), landscape, now)
        return dataclasses.replace(
            choose(in_force, landscape, now),
            warning=f"update=early answered by baseline {in_force.name}",
        )
    return choose(in_force, landscape, now)


def _explicit_number(wish: Wish, in_force: Baseline) -> int | None:
    if wish.number is not None and wish.update is not None:
        raise ParameterError(
            "tcbEvaluationDataNumber",
            str(wish.number),
            f"expected no update beside it, got update={wish.update.value}",
        )
    fixed = in_force.rule.number if isinstance(in_force.rule, Number) else None
    given = {
        "tcbEvaluationDataNumber": wish.number,
        "customParameter": wish.custom_number,
    }
    asked = {name: n for name, n in given.items() if n is not None}
    for name, number in asked.items():
        other = fixed if fixed is not None else next(iter(asked.values()))
        if number != other:
            expected = f"expected {other}, which is asked for beside it"
            raise ParameterError(name, str(number), expected)
    return next(iter(asked.values()), None)


def choose(baseline: Baseline, landscape: Landscape, now: datetime) -> Choice:
    """
    Choose the number that *baseline* stands for at *now*.

    Raises:
        NotFoundError: Nothing is known of it, or nothing is archived at all.
    """
    rule = baseline.rule
    if isinstance(rule, Number):
        return _choose_number(baseline.name, rule.number, landscape)
    if isinstance(rule, Channel):
        return _choose_channel(baseline.name, rule.update, landscape, now)
    return _choose_trailing(baseline.name, rule, landscape, now)


def _choose_number(name: str, number: int, landscape: Landscape) -> Choice:
    if number in landscape.known:
        return Choice(number=number, baseline=name)

    msg = f"nothing is known of TCB evaluation data number {number}"
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
