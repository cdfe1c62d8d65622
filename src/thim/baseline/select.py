"""
Which evaluation number answers a request.

One answer set is always of one number: TCB info and identities together.

``update=standard`` and no ``update`` both mean the baseline in force here:
real clients cannot help sending ``update=standard`` (QCNL does with every
TCB info and identity, dcap-qvl with identities), so it is no wish.  The order
of precedence:

1. ``update`` together with ``tcbEvaluationDataNumber`` is refused, as by
   Intel; so are two different numbers, in whatever parameters.
2. Where the tenant's ``overrides`` are ``never``, a number that is not its
   baseline's own is refused, and so are ``/baseline/`` and ``/at/``.
3. A number, plain or in ``customParameter``, is taken, unless it is below a
   floor.  Below ``/baseline/`` of a number, another one is refused.
4. ``update=early`` counts where the baseline in force is ``early`` or
   ``standard`` and moves without a hold, and where the tenant allows overrides
   and nobody chose a baseline; else the baseline answers and a warning says
   so.  It never leads below a floor, nor, where the tenant allows no
   overrides, below its baseline.
5. The baseline in force: the one chosen by prefix, else the tenant's.  Where
   it is held, it stands at the number that was written down last.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.choice import Choice, choose, choose_number, lift
from thim.baseline.model import (
    ROOT,
    Baseline,
    Channel,
    Landscape,
    Number,
    Overrides,
    Tenant,
    find_shipped,
)
from thim.errors import ForbiddenError, NotFoundError, ParameterError
from thim.intel.names import Update


if TYPE_CHECKING:
    from datetime import datetime

    from thim.baseline.book import Book


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What a request says about the number it wants.

    *tenant* is who asks, *baseline* the prefix's, *number*
    ``tcbEvaluationDataNumber``, *custom_number* the one inside
    ``customParameter``.  *own* names the baseline that the tenant itself has
    put into a policy: that is no override, though it leads below no floor.
    """

    tenant: str = ROOT.name
    baseline: str | None = None
    own: str | None = None
    update: Update | None = None
    number: int | None = None
    custom_number: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    What is in force for who asks.

    *tenant* is as it is now.  *own* is its baseline then, *chosen* the one of
    the prefix, or *own*.
    *until* is when something comes into force by itself; *warning* is for
    the caller.
    """

    tenant: Tenant
    own: Baseline
    chosen: Baseline
    book: Book
    at: datetime
    until: datetime | None = None
    warning: str | None = None


def find_standing(
    wish: Wish, book: Book, at: datetime | None, now: datetime
) -> Standing:
    """
    Find what is in force for who makes *wish*: now, or *at* an instant.

    Raises:
        NotFoundError: Nothing is known of the tenant or the baseline.
        ForbiddenError: The tenant allows no overrides, and this is one.
    """
    instant = at or now
    tenant = book.find_tenant(wish.tenant, now, now)
    if tenant.overrides is Overrides.NEVER:
        _check_prefixes(tenant, wish, at)
    # What a tenant allows is decided today, whatever it allowed once.
    name = book.find_tenant(wish.tenant, instant, now).baseline
    own = book.find_baseline(name, instant, now, tenant.name)
    chosen = own
    wanted = wish.own if wish.baseline is None else wish.baseline
    if wanted is not None:
        chosen = book.find_baseline(wanted, instant, now, tenant.name)
    return Standing(
        tenant=tenant,
        own=own,
        chosen=chosen,
        book=book,
        at=instant,
        until=None if at else book.next_change(now),
        warning=book.find_gap(tenant, chosen, instant),
    )


def _check_prefixes(tenant: Tenant, wish: Wish, at: datetime | None) -> None:
    if wish.baseline is not None:
        barred = "there is no /baseline/ below it, nor one of a draft policy's"
    elif at is not None:
        barred = "there is no /at/ below it"
    else:
        return
    msg = f"tenant {tenant.name} has the setting overrides = never: {barred}"
    raise ForbiddenError(msg, reason="overrides-never")


def resolve(wish: Wish, standing: Standing, landscape: Landscape) -> Choice:
    """
    Choose the number that answers *wish*.

    Raises:
        ParameterError: The wish contradicts itself.
        ForbiddenError: The tenant allows no such number.
        NotFoundError: Nothing is known of the number, or the rule yields none.
    """
    choice = _resolve(wish, standing, landscape)
    warnings = [w for w in (standing.warning, choice.warning) if w]
    return dataclasses.replace(
        choice,
        until=_earlier(choice.until, standing.until),
        is_withdrawn=is_withdrawn(choice.number, landscape),
        is_archived=_is_archived(choice.number, landscape),
        warning="; ".join(warnings) or None,
    )


def is_withdrawn(number: int, landscape: Landscape) -> bool:
    """
    Tell whether the vendor has signed *number* once, and does not any more.
    """
    signed = landscape.signed
    return bool(signed) and number not in signed and number < max(signed)


def _is_archived(number: int, landscape: Landscape) -> bool:
    if landscape.signed:
        return is_withdrawn(number, landscape)
    return any(newer > number for newer in landscape.archived)


def _resolve(wish: Wish, standing: Standing, landscape: Landscape) -> Choice:
    number = _explicit_number(wish, standing)
    if number is not None:
        return _take_number(number, standing, landscape)
    choice = choose_held(standing, standing.chosen, landscape)
    _check_floor(choice.number, standing)
    if wish.update is not Update.EARLY:
        return choice
    if _counts_early(wish, standing):
        early = choose(find_baseline("early"), landscape, standing.at)
        is_never = standing.tenant.overrides is Overrides.NEVER
        if early.number >= max(_floor(standing), choice.number * is_never):
            return early
    warning = f"update=early answered by baseline {standing.chosen.name}"
    return dataclasses.replace(choice, warning=warning)


def _counts_early(wish: Wish, standing: Standing) -> bool:
    if wish.baseline is None and (
        standing.tenant.overrides is Overrides.ALLOWED
    ):
        return True
    chosen = standing.chosen
    return isinstance(chosen.rule, Channel) and chosen.hold is None


def find_baseline(name: str) -> Baseline:
    """
    Return a baseline that thim ships, or a plain number's.

    Raises:
        NotFoundError: There is none.
    """
    found = find_shipped(name)
    if found is None:
        msg = f"baseline {name[:80]!r} is not known"
        raise NotFoundError(msg, reason="unknown-baseline")
    return found


def _take_number(
    number: int, standing: Standing, landscape: Landscape
) -> Choice:
    tenant = standing.tenant
    if tenant.overrides is Overrides.NEVER:
        choice = choose_held(standing, standing.own, landscape)
        if number == choice.number:
            return choice
        msg = (
            f"tenant {tenant.name} has the setting overrides = never: its "
            f"baseline {choice.baseline} stands at {choice.number}, and "
            f"{number} is another number"
        )
        raise ForbiddenError(msg, reason="overrides-never")
    chosen = Baseline(name=str(number), rule=Number(number=number))
    choice = choose(chosen, landscape, standing.at)
    _check_floor(number, standing)
    return choice


def _check_floor(number: int, standing: Standing) -> None:
    floor = _floor(standing)
    if number < floor:
        msg = (
            f"{number} is below the floor {floor} that baselines set here: "
            f"{standing.own.name} and {standing.chosen.name}"
            if standing.own is not standing.chosen
            else f"{number} is below the floor {floor} of baseline "
            f"{standing.own.name}"
        )
        raise ForbiddenError(msg, reason="below-floor")


def _floor(standing: Standing) -> int:
    floors = (standing.own.floor, standing.chosen.floor)
    return max((floor for floor in floors if floor is not None), default=0)


def _explicit_number(wish: Wish, standing: Standing) -> int | None:
    if wish.number is not None and wish.update is not None:
        raise ParameterError(
            "tcbEvaluationDataNumber",
            str(wish.number),
            f"expected no update beside it, got update={wish.update.value}",
        )
    rule, fixed = standing.chosen.rule, None
    if wish.baseline is not None and isinstance(rule, Number):
        fixed = rule.number
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


def choose_held(
    standing: Standing, baseline: Baseline, landscape: Landscape
) -> Choice:
    """
    Choose the number that *baseline* stands at: where it is held, the one that
    was written down last.

    Raises:
        NotFoundError: As `choose`.
    """
    position = None
    if baseline.hold is not None:
        position = standing.book.position(baseline, standing.at)
    if position is None:
        choice = choose(baseline, landscape, standing.at)
    else:
        choice = choose_number(baseline.name, position.number, landscape)
    return lift(choice, baseline.floor or 0, landscape)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((i for i in (one, other) if i is not None), default=None)
