"""
How often an address may be asked: its budget, and its breaker.

Both are arithmetic on the address's row, in stored instants: microseconds.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy import Row

#: How long others wait for the one who tries an address again, at least.
_TRIAL: Final = 10_000_000
#: No address is left alone for longer.
_LONGEST: Final = 3_600_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """
    How often one address may be asked: once in each *interval* on average,
    and up to *burst* times at once.

    Where others have spent that, once in each *share* all the same, at their
    cost: None is no such share.  Whoever *may_try* may be the one who tries an
    address that was left alone.
    """

    interval: timedelta
    burst: int
    share: timedelta | None = None
    may_try: bool = True


def refused_until(row: Row[Any], budget: Budget, at: int) -> int | None:
    """
    Return the instant before which nobody may ask, because the budget is
    spent or the breaker is open; None where one may ask at once.
    """
    if until := _closed_until(row, at):
        return until
    if row.closed_until is not None and not budget.may_try:
        return at + _TRIAL
    is_covered = _may_use_share(row, budget, at)
    return None if is_covered else _spent_until(row, budget, at)


def spend_one(row: Row[Any] | None, budget: Budget, at: int) -> dict[str, int]:
    """
    Return what changes in the row when a request is sent; None is the row of
    an address that nobody has asked before.

    Where a breaker's time is over, it is closed again for an interval.
    """
    step = _microseconds(budget.interval)
    if row is None:
        return {"free_at": at + step}
    values = {"free_at": _free_at(row, budget, at) + step}
    if row.closed_until is not None:
        values["closed_until"] = at + max(step, _TRIAL)
    if budget.share is not None and _spent_until(row, budget, at):
        values["share_at"] = at + _microseconds(budget.share)
    return values


def _closed_until(row: Row[Any], at: int) -> int | None:
    # What is later than it can ever have been put is from a clock that has
    # been set back since, and means nothing; here and below.
    until: int | None = row.closed_until
    is_closed = until is not None and at < until <= at + _LONGEST
    return until if is_closed else None


def _spent_until(row: Row[Any], budget: Budget, at: int) -> int | None:
    # The generic cell rate algorithm (ITU-T I.371): free_at runs ahead of the
    # clock by one interval a request, and may be ahead by a burst of them.
    ahead = _microseconds(budget.interval) * (budget.burst - 1)
    free_at = _free_at(row, budget, at) - ahead
    return free_at if free_at > at else None


def _may_use_share(row: Row[Any], budget: Budget, at: int) -> bool:
    if budget.share is None:
        return False
    is_used = at < row.share_at <= at + _microseconds(budget.share)
    return not is_used


def _free_at(row: Row[Any], budget: Budget, at: int) -> int:
    # A refresh has half of the burst that callers have, rounded down, and its
    # share may put it beyond theirs.
    most = _microseconds(budget.interval) * (2 * budget.burst + 4)
    return int(row.free_at) if at < row.free_at <= at + most else at


def _microseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1_000_000)
