"""
Ask the vendors for a document together with whoever asks for it already: a
service, another worker, a command beside it.
"""

from __future__ import annotations

import asyncio
import contextlib

from typing import TYPE_CHECKING, Final

from thim.collateral.targets import LONGEST_LEASE
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


async def fetch_together(
    side: VendorSide, target: Target, secrets: PlatformSecrets | None = None
) -> Fetched:
    """
    Ask for *target*, or wait for what comes of it if somebody else is asking:
    the outcome is never ELSEWHERE.

    Whoever has leased it and went without having asked, or died, is waited for
    until the lease ends; then it is our turn.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST_LEASE.total_seconds()
    begin = side.watch.find(target)
    attempted = begin.attempted if begin else None
    while loop.time() < until:
        fetched = await side.fetcher.fetch(
            target,
            is_refresh=False,
            unless_since=Since(attempted),
            secrets=secrets,
        )
        if fetched.outcome is not Outcome.ELSEWHERE:
            return fetched
        end = await _wait(side, target, until)
        if end is not None and end.attempted != attempted:
            return _as_fetched(end, side.clock())
        await asyncio.sleep(_PAUSE)
    return Fetched(outcome=Outcome.NOT_NOW, reason=NOT_NOW)


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
