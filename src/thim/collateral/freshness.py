"""
How long a document may be relied on, and when to look for a newer one.

A document is *fresh* for the first third of its life, then *due* for a look
at the vendor's; *stale* when two thirds are gone and nothing newer has come;
*expired* when its next update is past.
"""

from __future__ import annotations

import enum

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.records import Kind


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)

#: What brings news is looked at daily, however long it lives: revocations, and
#: the numbers and channels of a TCB recovery.
_LOOKED_AT: Final[Mapping[Kind, timedelta]] = {
    Kind.PCK_CRL: _DAY,
    Kind.ROOT_CA_CRL: _DAY,
    Kind.TCB_EVALUATION_DATA_NUMBERS: _DAY / 2,
    Kind.FMSPCS: _DAY,
    Kind.CRL: _DAY,
}
_CHANNEL: Final = _DAY / 2
_SHORTEST: Final = timedelta(hours=1)
_JITTER: Final = 0.3
#: After a failure: a minute, two, four and so on, up to an hour.
_RETRY_FIRST: Final = timedelta(minutes=1)
_RETRY_LAST: Final = timedelta(hours=1)


class State(enum.Enum):
    """How a document stands at an instant."""

    FRESH = "fresh"
    DUE = "due"
    STALE = "stale"
    EXPIRED = "expired"


def find_state(
    issued: datetime, next_update: datetime | None, now: datetime
) -> State:
    """
    Tell how a document stands at *now*.
    """
    if next_update is None:
        return State.FRESH
    if now > next_update:
        return State.EXPIRED
    third = (next_update - issued) / 3
    if now > stale_after(issued, next_update):
        return State.STALE
    return State.DUE if now > issued + third else State.FRESH


def stale_after(issued: datetime, next_update: datetime) -> datetime:
    """
    Return the instant after which a document that lives on is stale.
    """
    return issued + (next_update - issued) * 2 / 3


def is_expired(next_update: datetime | None, now: datetime) -> bool:
    """
    Tell whether *now* is past *next_update*.

    The instant itself still counts as valid, as in Intel's QVL.
    """
    return next_update is not None and now > next_update


def next_look(
    kind: Kind,
    next_update: datetime | None,
    now: datetime,
    draw: float,
) -> datetime:
    """
    Return when to look for a newer document than one just seen at *now*.

    That is after a third of what is left of its life, and for kinds that bring
    news after a day; earlier by up to 30 % as *draw* (0 to 1) decides, so that
    what came together does not stay together.
    """
    interval = _LOOKED_AT.get(kind, timedelta(days=30))
    if next_update is not None:
        interval = min(interval, (next_update - now) / 3)
    return now + max(interval, _SHORTEST) * (1 - _JITTER * draw)


def next_channel_look(now: datetime, draw: float) -> datetime:
    """
    Return when to look again what a channel points to; *draw* as above.
    """
    return now + _CHANNEL * (1 - _JITTER * draw)


def next_try(failures: int, now: datetime, draw: float) -> datetime:
    """
    Return when to try again after the latest of *failures* in a row.
    """
    doublings = min(max(failures, 1) - 1, 16)
    wait = min(_RETRY_FIRST * (1 << doublings), _RETRY_LAST)
    return now + wait * (1 - _JITTER * draw)


def max_age(
    next_update: datetime | None, now: datetime, policy: timedelta
) -> int:
    """
    Return for how many seconds a client may keep the document: *policy*, or
    what is left of its life if that is less.
    """
    if next_update is None:
        return int(policy.total_seconds())
    left = min(policy, next_update - now)
    return max(0, int(left.total_seconds()))


def max_age_changes(
    next_update: datetime | None, now: datetime, policy: timedelta
) -> datetime | None:
    """
    Return when ``max_age`` and ``is_expired`` will next give another answer,
    or None for never.
    """
    if next_update is None or now > next_update:
        return None
    left = next_update - now
    if left > policy:
        return next_update - policy
    # Not a second from now: max_age steps down on next_update's own seconds,
    # and in the last fraction it is next_update itself that comes next.
    return now + (left % _SECOND or _SECOND)
