"""
How long a document may be relied on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from datetime import datetime

_SECOND: Final = timedelta(seconds=1)


def is_expired(next_update: datetime | None, now: datetime) -> bool:
    """
    Tell whether *now* is past *next_update*.

    The instant itself still counts as valid, as in Intel's QVL.
    """
    return next_update is not None and now > next_update


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
