"""
Work off the VCEKs that are wanted, in their order, as fast as the budget of
AMD's key server allows.
"""

from __future__ import annotations

import asyncio

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind
from thim.amd.tcb import ProductLine
from thim.collateral.amd_keys import cert_chain_key
from thim.collateral.records import AMD
from thim.services.outcome import Outcome
from thim.store.chip_queue_view import ChipQueueView


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from thim.collateral.targets import Target
    from thim.services.outcome import Fetched
    from thim.services.side import VendorSide

#: So many are asked for at once, where the budget allows.
_ABREAST: Final = 4
#: So many documents that are due are looked at for one of AMD's.
_LOOKED_AT: Final = 16
#: Longer than this nobody rests unseen: a breaker may be opened by hand.
_LONGEST_REST: Final = timedelta(seconds=30)


class Chips:
    """
    Asks for VCEKs in the background.
    """

    def __init__(self, side: VendorSide) -> None:
        self._side = side
        self._queue = ChipQueueView(side.replica)
        self._task: asyncio.Task[None] | None = None
        self._rests_until: datetime | None = None

    def start(self) -> BaseException | None:
        """
        Begin, if anything is due and nobody is at it; return what ended the
        last time, if that was an error.
        """
        task = self._task
        if task is not None and not task.done():
            return None
        self._task = None
        if not self._is_resting() and self._pick():
            self._task = asyncio.create_task(self._run())
        return task.exception() if task and not task.cancelled() else None

    async def stop(self) -> None:
        """
        End what is going on; the queue stays as it is.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _is_resting(self) -> bool:
        # Not longer than it can have been meant, or a clock that is set back
        # would stop it.
        now, until = self._side.clock(), self._rests_until
        return until is not None and now < until <= now + _LONGEST_REST

    def _pick(self) -> Sequence[Target]:
        """Pick the next whose chain is there: none holds without."""
        now = self._side.clock()
        products = filter(self._has_chain, ProductLine)
        picked = self._queue.due(now, _ABREAST, products)
        return () if picked and self._is_late(now) else picked

    def _is_late(self, now: datetime) -> bool:
        """Tell whether a chain or a CRL is due: these few go first."""
        due = self._side.watch.due(now, _LOOKED_AT)
        return any(target.key.vendor == AMD for target in due)

    def _has_chain(self, product: ProductLine) -> bool:
        key = cert_chain_key(KeyKind.VCEK, product)
        return self._side.replica.find(key) is not None

    async def _run(self) -> None:
        while picked := self._pick():
            fetcher = self._side.fetcher
            found = await asyncio.gather(
                *(fetcher.fetch(target, is_refresh=True) for target in picked)
            )
            if self._is_at_rest(found):
                return

    def _is_at_rest(self, found: Iterable[Fetched]) -> bool:
        """Tell whether there is no use in going on at once."""
        now = self._side.clock()
        waits = [f.until for f in found if f.outcome is Outcome.NOT_NOW]
        if waits:
            until = min((w for w in waits if w), default=now)
            self._rests_until = min(until, now + _LONGEST_REST)
            return True
        return not any(f.outcome is not Outcome.ELSEWHERE for f in found)
