"""
How asking the vendors for a document went.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.errors import ThimError


class Outcome(enum.Enum):
    """How asking went."""

    TAKEN = "taken"
    ABSENT = "absent"
    FAILED = "failed"
    NOT_NOW = "not-now"
    UNASKED = "unasked"
    ELSEWHERE = "elsewhere"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """
    How asking for a target went, at one upstream or at all of them.

    *outcome* TAKEN: it is in the archive, as new or as it was; *due* is then
    when to look again.  ABSENT: there is none.  FAILED: a retry may help.
    NOT_NOW: neither budget nor breaker allow it before *until*.  UNASKED: no
    upstream can have it.  ELSEWHERE: somebody else is asking.
    """

    outcome: Outcome
    reason: str | None = None
    detail: str | None = None
    due: datetime | None = None
    until: datetime | None = None


def sum_up(tried: Sequence[Fetched]) -> Fetched:
    """
    Make one outcome of those of all upstreams; every one is named.

    That there is no such document is believed when no upstream that could
    have had it has failed.
    """
    if not tried:
        return Fetched(outcome=Outcome.UNASKED, reason="no-upstream")
    order = (Outcome.FAILED, Outcome.NOT_NOW, Outcome.ABSENT)
    worst = min(tried, key=lambda fetched: order.index(fetched.outcome))
    details = (fetched.detail or "" for fetched in tried)
    return dataclasses.replace(worst, detail="; ".join(details))


def blame(
    error: ThimError,
    outcome: Outcome = Outcome.FAILED,
    *,
    until: datetime | None = None,
    prefix: str = "",
) -> Fetched:
    """
    Make an outcome of an *error*.
    """
    return Fetched(
        outcome=outcome,
        reason=error.reason,
        detail=f"{prefix}{error}",
        until=until,
    )
