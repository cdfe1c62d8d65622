"""
How asking the vendors for a document went.
"""

from __future__ import annotations

import dataclasses
import enum

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from thim.errors import printable


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.errors import ThimError

#: Why somebody is not asked: the budget is spent, or they are left alone.
NOT_NOW: Final = "not-now"
_DETAIL_SIZE: Final = 1000
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Outcome(enum.Enum):
    """How asking went."""

    TAKEN = "taken"
    ABSENT = "absent"
    FAILED = "failed"
    NOT_NOW = "not-now"
    UNASKED = "unasked"
    ELSEWHERE = "elsewhere"


_ORDER: Final = (Outcome.FAILED, Outcome.NOT_NOW, Outcome.ABSENT)


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
    worst = min(tried, key=_rank)
    details = (fetched.detail or "" for fetched in tried)
    return dataclasses.replace(worst, detail="; ".join(details))


def _rank(fetched: Fetched) -> tuple[int, datetime]:
    # Of several that are not to be asked now, the one that is free first.
    return _ORDER.index(fetched.outcome), fetched.until or _NEVER


def describe(error: BaseException) -> str:
    """
    Say what an *error* says, at no more length than people read: parts of a
    hostile answer may stand in it.
    """
    return printable(str(error)[:_DETAIL_SIZE])


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
        detail=f"{prefix}{describe(error)}",
        until=until,
    )
