"""
Fill a miss of a VCEK: put it into the queue, and wait a little.

Nobody asks AMD's key server out of turn: it gives so little that who asks most
often would get it all.
"""

from __future__ import annotations

import asyncio
import math

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import (
    amd_crl_key,
    cert_chain_key,
    vcek_target,
)
from thim.collateral.records import AMD
from thim.errors import NotFoundError, UnavailableError
from thim.services.rate import network_of
from thim.services.vendors import FillMode
from thim.services.wants import left_alone_until
from thim.store.chip_queue_view import ChipQueueView
from thim.store.chip_view import ChipView
from thim.store.endorsement_view import EndorsementView
from thim.upstream.model import Request


if TYPE_CHECKING:
    from thim.amd.kds import ChipTcb
    from thim.collateral.targets import Progress
    from thim.services.side import VendorSide
    from thim.services.vcek import VcekQuery

_POLL: Final = 0.1
#: So many may wait for AMD on behalf of callers; each for ten seconds longer
#: than the one before.
_MOST_WAITING: Final = 1000
#: One source has no more of them waiting than it may ask for in so many
#: minutes, or nobody else would ever get one.
_SHARE: Final = 4
_LONGEST_RETRY: Final = 300
#: So many documents that are due are looked at for AMD's.
_LOOKED_AT: Final = 64
_BUSY: Final = 5


class ChipFiller:
    """
    Has VCEKs fetched for the callers of one process.
    """

    def __init__(self, side: VendorSide) -> None:
        self._side = side
        self._queue = ChipQueueView(side.replica)
        self._keys = EndorsementView(side.replica)
        self._chips = ChipView(side.replica)
        self._most_of_one = _SHARE * side.settings.source_rate
        #: Who has put what into the queue.
        self._sources: dict[ChipTcb, str] = {}

    def check(self, query: VcekQuery) -> list[ChipTcb]:
        """
        Return which of the query's names may be asked for now.

        Raises:
            NotFoundError: AMD has none of them, or they are nobody's here.
            UnavailableError: What failed a moment ago is left alone.
        """
        if not self._side.settings.kds:
            msg = "nobody is asked for AMD's documents"
            raise NotFoundError(msg, reason="no-upstream")
        names = [n for n in query.names if not self._is_absent(n)]
        if not names:
            msg = "AMD has no VCEK of this chip at this TCB"
            raise NotFoundError(msg, reason="vendor-has-none")
        if self._side.settings.mode is FillMode.REGISTERED:
            names = [n for n in names if self._is_known(n)]
            if not names:
                msg = "this chip is not known here"
                raise NotFoundError(msg, reason="not-registered")
        for name in names:
            self._check_rest(name)
        return names

    async def fill(self, query: VcekQuery, source: str = "") -> None:
        """
        Wait until one of the query's names has been fetched for a caller at
        *source*, for as long as callers may wait.

        Raises:
            NotFoundError: AMD has none of them.
            UnavailableError: Not yet; after how many seconds it may be there.
        """
        wait = self._side.settings.wait.total_seconds()
        until = asyncio.get_running_loop().time() + wait
        for name in self.check(query):
            self._take_place(name, network_of(source))
            is_settled = await self._wait(name, until)
            if not is_settled:
                break
            if self._keys.find_vcek(name) is not None:
                return
        self.check(query)
        raise self.queued(query)

    async def _wait(self, name: ChipTcb, until: float) -> bool:
        """Wait for one, and tell whether it is known what came of it."""
        loop = asyncio.get_running_loop()
        await self._put(name)
        # Not before: what is asked for anew has not been attempted yet.
        begin = self._progress(name)
        while not self._is_settled(name, begin):
            left = until - loop.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(_POLL, left))
        return True

    def _take_place(self, name: ChipTcb, source: str) -> None:
        """Refuse a source that has too many waiting already."""
        if self._is_waiting(name):
            return
        count = self._count_of(source)
        if max(count, len(self._sources) - _MOST_WAITING) >= self._most_of_one:
            self._sources = {
                n: s for n, s in self._sources.items() if self._is_waiting(n)
            }
            count = self._count_of(source)
        if count >= self._most_of_one:
            msg = f"{source} has {count} VCEKs waiting already"
            raise UnavailableError(
                msg, reason="fill-rate", retry_after=_LONGEST_RETRY
            )
        self._sources[name] = source

    def _count_of(self, source: str) -> int:
        return sum(each == source for each in self._sources.values())

    def _is_waiting(self, name: ChipTcb) -> bool:
        progress = self._progress(name)
        return progress is not None and progress.due is not None

    async def _put(self, name: ChipTcb) -> None:
        side = self._side
        is_in = await side.fetcher.run(
            side.ledger.chips.add, name, side.clock(), _MOST_WAITING
        )
        if not is_in:
            msg = f"{_MOST_WAITING} VCEKs are waited for already"
            raise UnavailableError(
                msg, reason="fill-busy", retry_after=_LONGEST_RETRY
            )

    def _progress(self, name: ChipTcb) -> Progress | None:
        return self._side.watch.find(vcek_target(name))

    def _is_known(self, name: ChipTcb) -> bool:
        known = self._chips.find(name.product, name.hw_id)
        is_in_service = known is not None and known.retired is None
        return is_in_service or bool(self._keys.list_chip(name.hw_id))

    def _is_absent(self, name: ChipTcb) -> bool:
        progress = self._progress(name)
        return progress is not None and progress.is_absent(self._side.clock())

    def _is_settled(self, name: ChipTcb, begin: Progress | None) -> bool:
        progress = self._progress(name)
        if progress is None or progress.due is None:
            return True
        attempted = None if begin is None else begin.attempted
        return progress.attempted != attempted

    def _check_rest(self, name: ChipTcb) -> None:
        progress, now = self._progress(name), self._side.clock()
        until = None if progress is None else left_alone_until(progress, now)
        if progress is None or until is None or progress.is_leased(now):
            return
        msg = f"the VCEK cannot be fetched now ({progress.reason})"
        seconds = math.ceil((until - now).total_seconds())
        raise UnavailableError(
            msg, reason=progress.reason, retry_after=max(1, seconds)
        )

    def _documents_before(self, name: ChipTcb) -> int:
        """Count the chains and lists that come before all VCEKs."""
        side = self._side
        soon = side.clock() + timedelta(seconds=_LONGEST_RETRY)
        due = side.watch.due(soon, _LOOKED_AT)
        keys = {target.key for target in due if target.key.vendor == AMD}
        chain = cert_chain_key(KeyKind.VCEK, name.product)
        if side.replica.find(chain) is None:
            keys |= {chain, amd_crl_key(KeyKind.VCEK, name.product)}
        return len(keys)

    def _closed_for(self) -> float:
        """Return for how many seconds AMD is left alone."""
        now = self._side.clock()
        asked = {Request(url=u.url).address for u in self._side.settings.kds}
        return max(
            (
                (address.closed_until - now).total_seconds()
                for address in self._side.watch.addresses()
                if address.address in asked and address.closed_until
            ),
            default=0.0,
        )

    def queued(self, query: VcekQuery) -> UnavailableError:
        """
        Say how long it may take until it is the turn of what *query* asks for.
        """
        interval = max(
            (u.interval.total_seconds() for u in self._side.settings.kds),
            default=0.0,
        )
        position = max(map(self._queue.position, query.names))
        if not position:  # not yet in it
            position = self._queue.count() + 1
        position += self._documents_before(query.names[0])
        seconds = math.ceil(max(position * interval, self._closed_for()))
        return UnavailableError(
            "the VCEK is waited for; AMD gives one after the other",
            reason="fill-in-progress",
            retry_after=min(max(_BUSY, seconds), _LONGEST_RETRY),
        )
