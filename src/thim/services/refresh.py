"""
Keep what is promised fresh: each document on its own schedule, by whichever
worker comes first, none of them in the way of another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.freshness import next_look
from thim.collateral.records import AMD, INTEL
from thim.errors import ThimError, UnwritableError
from thim.services.chip_renewal import ChipRenewal
from thim.services.chips import Chips
from thim.services.outcome import describe
from thim.services.promise import list_promises
from thim.services.selecting import Selecting


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from thim.collateral.targets import Target
    from thim.services.outcome import Fetched
    from thim.services.side import VendorSide
    from thim.store.watch import Head

_log: Final = logging.getLogger("thim.vendors")

#: So many documents are asked for at once, by one process.
_ABREAST: Final = 4
#: So many ticks between two looks at a store that cannot be used.
_PATIENCE: Final = 20
#: For so long is remembered what callers had asked for in vain.
_REMEMBERED: Final = timedelta(days=1)
#: What is not held yet is asked for within this time, not all at once.
_SPREAD: Final = timedelta(seconds=30)


class Refresher:
    """
    Keeps the agenda in step with what is promised, and works it off.
    """

    def __init__(self, side: VendorSide) -> None:
        self._side = side
        self._promised: frozenset[Target] | None = None
        self._generation = -1
        self._pruned: datetime | None = None
        self._is_to_begin = False
        #: What went wrong in the last step; None where nothing did.
        self.trouble: str | None = None
        self._running: dict[Target, asyncio.Task[Fetched]] = {}
        self._selecting = Selecting(side)
        self._chips = Chips(side)
        self._renewal = ChipRenewal(side)

    async def begin(self) -> None:
        """
        Begin anew, as whoever starts a service does; if the store cannot be
        written, as soon as it can: meanwhile a service has to serve.
        """
        self._is_to_begin = True
        with contextlib.suppress(UnwritableError):
            await self._side.begin_anew()
            self._is_to_begin = False

    async def follow(self) -> None:
        """
        Work the agenda off until cancelled.
        """
        try:
            while True:
                is_well = await self.step()
                seconds = self._side.settings.tick.total_seconds()
                await asyncio.sleep(seconds if is_well else seconds * _PATIENCE)
        finally:
            await self._stop()

    async def step(self) -> bool:
        """
        Start to ask for what is due; nothing that goes wrong ends it, and
        `trouble` says what did.  Returns whether all is well.
        """
        # Why this is as wide as it can be: a refresher that a bug has ended
        # would let every document expire, and nobody would hear of it.
        try:
            await self._step()
        except Exception as e:  # noqa: BLE001
            self._blame("refresh", e)
        return self.trouble is None

    async def _step(self) -> None:
        self.trouble = None
        self._collect()
        if self._is_to_begin:
            await self.begin()
        leads = self._side.find_leads()
        if not leads:
            return
        await self._promise()
        await self._prune()
        self._start(leads)
        if INTEL in leads:
            self._selecting.start()
        if AMD in leads:
            await self._renewal.look()
            if error := self._chips.start():
                self._blame("chips", error)

    def _blame(self, what: str, error: BaseException) -> None:
        """Say what went wrong: in the log, and to who asks for `trouble`."""
        self.trouble = f"{what}: {type(error).__name__}: {describe(error)}"
        is_ours = isinstance(error, ThimError)
        _log.warning("%s: %s", what, error, exc_info=None if is_ours else error)

    async def _stop(self) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await self._selecting.stop()
        await self._chips.stop()

    async def _promise(self) -> None:
        side = self._side
        generation = side.replica.generation()
        if generation == self._generation:
            return
        promised = frozenset(list_promises(side.replica, side.settings))
        if promised != self._promised:
            due = self._first_looks(promised)
            await side.fetcher.run(side.ledger.agenda.promise, due)
            self._promised = promised
        self._generation = generation

    async def _prune(self) -> None:
        now = self._side.clock()
        # Not by a clock that was ahead then.
        before = self._pruned
        if before is None or not now - _REMEMBERED <= before <= now:
            agenda = self._side.ledger.agenda
            await self._side.fetcher.run(agenda.prune, now - _REMEMBERED)
            self._pruned = now

    def _first_looks(
        self, promised: Iterable[Target]
    ) -> Mapping[Target, datetime]:
        watch = self._side.watch
        heads = {(h.key, h.number): h for h in watch.heads()}
        answered = {p.target: p.answered for p in watch.progress()}
        return {
            target: self._first_look(
                target,
                heads.get((target.key, target.number)),
                answered.get(target),
            )
            for target in promised
        }

    def _first_look(
        self, target: Target, head: Head | None, answered: datetime | None
    ) -> datetime:
        now, draw = self._side.clock(), self._side.draw()
        if head is None or head.is_revoked or target.update is not None:
            # Without numbers nothing can be planned: they come first.
            is_plain = target.number is None and target.update is None
            return now if is_plain else now + _SPREAD * draw
        # Where nobody has had it fetched, as if it had been seen when it was
        # issued.
        seen = head.issued
        if answered is not None:
            seen = max(seen, min(answered, now))
        return next_look(target.key.kind, head.next_update, seen, draw)

    def _collect(self) -> None:
        for target, task in list(self._running.items()):
            if task.done():
                del self._running[target]
                self._note(target, task)

    def _note(self, target: Target, task: asyncio.Task[Fetched]) -> None:
        if task.cancelled():
            return
        if error := task.exception():
            self._blame(str(target), error)

    def _start(self, leads: Collection[str]) -> None:
        now = self._side.clock()
        free = _ABREAST - len(self._running)
        if free <= 0:
            return
        due = self._side.watch.due(now, _ABREAST + free, leads)
        for target in [t for t in due if t not in self._running][:free]:
            self._running[target] = asyncio.create_task(
                self._side.fetcher.fetch(target, is_refresh=True)
            )
