"""
Ask the vendors for a document together with whoever asks for it already: a
service, another worker, a command beside it.
"""

from __future__ import annotations

import asyncio
import contextlib

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.errors import UnavailableError
from thim.services.outcome import NOT_NOW, Fetched, Outcome
from thim.store.agenda import Since


if TYPE_CHECKING:
    from datetime import datetime

    from thim.collateral.targets import Progress, Target
    from thim.services.side import VendorSide
    from thim.upstream.pck import PlatformSecrets

_POLL: Final = 0.05
#: Between two tries of our own, or a replica that is behind would have the
#: ledger asked without a pause.
_PAUSE: Final = 0.25
#: For whom we do not see: the replica may be behind.
_UNSEEN: Final = timedelta(minutes=1)
#: Who was waited for to the end of the lease, in vain, is followed by us.
_SLACK: Final = timedelta(seconds=1)


async def fetch_together(
    side: VendorSide, target: Target, secrets: PlatformSecrets | None = None
) -> Fetched:
    """
    Ask for *target*, or wait for what comes of it if somebody else is asking:
    the outcome is never ELSEWHERE.

    Whoever has leased it is waited for until the lease ends.  If that was
    without an answer it is our turn: they have given it up, or died.
    """
    loop = asyncio.get_running_loop()
    begin = side.watch.find(target)
    attempted = begin.attempted if begin else None
    until: float | None = None
    while until is None or loop.time() < until:
        fetched = await side.fetcher.fetch(
            target,
            is_refresh=False,
            unless_since=Since(attempted),
            secrets=secrets,
        )
        if fetched.outcome is not Outcome.ELSEWHERE:
            return fetched
        if until is None:
            until = loop.time() + _lasts(side, target).total_seconds()
        end = await _wait(side, target, until)
        if end is not None and end.attempted != attempted:
            return _as_fetched(end, side.clock())
        await asyncio.sleep(_PAUSE)
    return Fetched(outcome=Outcome.NOT_NOW, reason=NOT_NOW)


def _find(side: VendorSide, target: Target) -> Progress | None:
    with contextlib.suppress(UnavailableError):
        return side.watch.find(target)
    return None


def _lasts(side: VendorSide, target: Target) -> timedelta:
    """
    Tell how long to wait: until the lease has ended, by a clock that goes on
    even if ours stands still.
    """
    now, progress = side.clock(), _find(side, target)
    if progress is None or not progress.is_leased(now):
        return _UNSEEN
    until = progress.leased_until
    return _UNSEEN if until is None else until - now + _SLACK


async def _wait(
    side: VendorSide, target: Target, until: float
) -> Progress | None:
    """Wait until nobody asks for *target*, and return what is known then."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        with contextlib.suppress(UnavailableError):
            end = side.watch.find(target)
            if end is None or not end.is_leased(side.clock()):
                return end
        await asyncio.sleep(_POLL)
    return None


def _as_fetched(progress: Progress, now: datetime) -> Fetched:
    """Tell how asking went for somebody else."""
    outcome = Outcome.TAKEN
    if progress.is_absent(now):
        outcome = Outcome.ABSENT
    elif progress.failures:
        outcome = Outcome.FAILED
    return Fetched(
        outcome=outcome, reason=progress.reason, detail=progress.detail
    )
