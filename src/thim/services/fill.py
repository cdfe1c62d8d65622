"""
Fill a miss: find out what is missing for an answer, and have it fetched.

Callers who miss the same document wait together for one request; none waits
longer than the setting says, and the request goes on without them.  What an
anonymous caller can make us ask for is bounded: by a rate for each source, to
FMSPCs that are known, and by the vendor's own word that there is none.
"""

from __future__ import annotations

import asyncio
import math

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.records import AMD
from thim.collateral.targets import pck_target
from thim.errors import (
    NotFoundError,
    OperatorError,
    ThimError,
    UnavailableError,
)
from thim.services.chip_fill import ChipFiller
from thim.services.outcome import Outcome
from thim.services.pck_wants import find_pck_want
from thim.services.rate import SourceRate
from thim.services.together import fetch_together
from thim.services.wants import is_hint, left_alone_until, list_wants


if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from datetime import datetime

    from thim.collateral.platforms import PlatformId
    from thim.collateral.targets import Progress, Target
    from thim.services.outcome import Fetched
    from thim.services.pck import PckListQuery, PckQuery
    from thim.services.pck_wants import PckWant
    from thim.services.serve import Query
    from thim.services.side import VendorSide
    from thim.services.vcek import VcekQuery
    from thim.upstream.pck import PlatformSecrets

#: Number lists, then the document, then what showed only by then.
_ROUNDS: Final = 4
_MOST_AT_ONCE: Final = 256
#: So many misses may cost a look at what is known, for each that may cost a
#: vendor's time.
_LOOKS: Final = 20
_SECOND: Final = timedelta(seconds=1)
_BUSY: Final = 5
_BAD_REQUEST: Final = "bad-request"
_IN_PROGRESS: Final = "fill-in-progress"


class Filler:
    """
    Fills misses for the callers of one process.
    """

    def __init__(self, side: VendorSide) -> None:
        self._side = side
        self._rate = SourceRate(side.settings.source_rate)
        self._looks = SourceRate(_LOOKS * side.settings.source_rate)
        self._fills: dict[Hashable, asyncio.Task[ThimError | None]] = {}
        self._chips = ChipFiller(side)
        self._fetches: dict[Target, asyncio.Task[Fetched]] = {}

    async def close(self) -> None:
        """
        End what is going on.
        """
        tasks = [*self._fills.values(), *self._fetches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def fill(self, query: Query, source: str) -> ThimError | None:
        """
        Have fetched what an answer to *query* needs.

        *source* is the caller's address.  Returns why there may still be no
        answer, if something went wrong that need not matter.

        Raises:
            NotFoundError: There is no such document, or none that a caller
                may have us ask for.
            UnavailableError: Not in time, or not now; a retry may help.
        """
        what = str(query.keys[0])

        def check() -> None:
            # What needs no vendor to be said is said without one.
            self._check(list_wants(self._side, query, frozenset()))

        def start() -> Coroutine[None, None, ThimError | None]:
            return self._fill(query)

        return await self._join(query, what, source, check, start)

    async def fill_platform(
        self, query: PckQuery | PckListQuery, source: str
    ) -> ThimError | None:
        """
        Have fetched the PCK certificates of a platform: by the encrypted PPID
        that came with *query*, or by what it is registered with.

        Raises:
            NotFoundError, UnavailableError: As `fill`.
        """
        want = find_pck_want(self._side, query)

        def check() -> None:
            self._check([want.target])

        def start() -> Coroutine[None, None, ThimError | None]:
            return self._fill_platform(want)

        return await self._join(
            want.target, str(want.target.key), source, check, start
        )

    async def fill_vcek(
        self, query: VcekQuery, source: str
    ) -> ThimError | None:
        """
        Have fetched a chip's endorsement key.

        Raises:
            NotFoundError, UnavailableError: As `fill`.
        """

        def check() -> None:
            self._chips.check(query)

        async def start() -> None:
            await self._chips.fill(query, source)

        try:
            return await self._join(query, "VCEK", source, check, start)
        except UnavailableError as e:
            if e.reason == _IN_PROGRESS:
                raise self._chips.queued(query) from e
            raise

    async def fetch_platform(self, platform: PlatformId) -> None:
        """
        Have fetched the PCK certificates of a registered platform, now and
        again each month.

        For somebody who may: no rate counts, and no earlier word of the
        vendor's that there are none.

        Raises:
            NotFoundError: The vendor has none.
            UnavailableError: Not now; a retry may help.
            OperatorError: The store cannot be written, or a manifest opened.
        """
        side, target = self._side, pck_target(platform)
        now = side.clock()
        await side.fetcher.run(side.ledger.agenda.hasten, [target], now)
        fetched = await self._fetch(target)
        failure = _find_failure(target, fetched, side.clock())
        if failure is not None:
            raise failure

    async def _join(
        self,
        matter: Hashable,
        what: str,
        source: str,
        check: Callable[[], None],
        start: Callable[[], Coroutine[None, None, ThimError | None]],
    ) -> ThimError | None:
        """Wait for a matter together with all who wait for it already."""
        task = self._fills.get(matter)
        if task is None:
            self._spend(source, check)
            task = asyncio.create_task(start())
            self._fills[matter] = task
            task.add_done_callback(lambda _: self._end(matter))
        seconds = self._side.settings.wait.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(task)
        except OperatorError as e:  # the ledger: a full disk, a lock
            raise UnavailableError(
                str(e), reason=e.reason, retry_after=_BUSY
            ) from e
        except TimeoutError:
            msg = f"{what}: the vendor has not answered yet"
            raise UnavailableError(
                msg, reason=_IN_PROGRESS, retry_after=_BUSY
            ) from None

    def _spend(self, source: str, check: Callable[[], None]) -> None:
        """Refuse what *source* asks too often, or all of them together."""
        now = self._side.clock()
        if not self._looks.spend(source, now):
            msg = f"{source} has asked too often for what is not there"
            raise UnavailableError(msg, reason="fill-rate", retry_after=_BUSY)
        check()
        if len(self._fills) >= _MOST_AT_ONCE:
            msg = f"{len(self._fills)} documents are being fetched already"
            raise UnavailableError(msg, reason="fill-busy", retry_after=_BUSY)
        if not self._rate.spend(source, now):
            msg = f"{source} has had the vendors asked too often"
            raise UnavailableError(msg, reason="fill-rate", retry_after=_BUSY)

    def _end(self, matter: Hashable) -> None:
        task = self._fills.pop(matter)
        if not task.cancelled():
            task.exception()  # it has been seen, also if nobody waits any more

    async def _fill(self, query: Query) -> ThimError | None:
        asked: set[Target] = set()
        excuse: ThimError | None = None
        for _ in range(_ROUNDS):
            wants = list_wants(self._side, query, asked)
            if not wants:
                break
            self._check(wants)
            asked.update(wants)
            found = await asyncio.gather(*map(self._fetch, wants))
            for want, fetched in zip(wants, found, strict=True):
                await self._remember(want, fetched)
                failure = _find_failure(want, fetched, self._side.clock())
                if failure is not None and not is_hint(want):
                    raise failure
                excuse = excuse or failure
        return excuse

    async def _remember(self, want: Target, fetched: Fetched) -> None:
        """Have asked for in its turn what AMD's budget has no room for now."""
        is_late = fetched.outcome is Outcome.NOT_NOW
        if is_late and want.key.vendor == AMD:
            side = self._side
            await side.fetcher.run(
                side.ledger.agenda.ask_for, want, side.clock()
            )

    def _check(self, wants: list[Target]) -> None:
        now = self._side.clock()
        for want in wants:
            progress = self._side.watch.find(want)
            if progress is not None and not is_hint(want):
                _check_progress(want, progress, now)

    async def _fill_platform(self, want: PckWant) -> ThimError | None:
        fetched = await self._fetch(want.target, want.secrets)
        failure = _find_failure(want.target, fetched, self._side.clock())
        if failure is not None and fetched.reason == _BAD_REQUEST:
            # The vendor cannot read what the caller sent: no retry will help.
            raise NotFoundError(str(failure), reason=_BAD_REQUEST)
        if failure is not None:
            raise failure
        return None

    async def _fetch(
        self, target: Target, secrets: PlatformSecrets | None = None
    ) -> Fetched:
        task = self._fetches.get(target)
        if task is None:
            task = asyncio.create_task(
                fetch_together(self._side, target, secrets)
            )
            self._fetches[target] = task
            task.add_done_callback(lambda _: self._fetches.pop(target))
        return await asyncio.shield(task)


def _check_progress(target: Target, progress: Progress, now: datetime) -> None:
    """
    Raise what is known of *target* already.
    """
    if progress.is_absent(now):
        raise _absent(target, progress.reason)
    until = left_alone_until(progress, now)
    if until is not None and not progress.is_leased(now):
        raise _unavailable(target, progress.reason, until - now)


def _find_failure(
    target: Target, fetched: Fetched, now: datetime
) -> ThimError | None:
    if fetched.outcome is Outcome.ABSENT:
        return _absent(target, fetched.reason)
    if fetched.outcome is Outcome.NOT_NOW:
        wait = (fetched.until or now) - now
        return _unavailable(target, fetched.reason, wait)
    if fetched.outcome is Outcome.FAILED:
        return _unavailable(target, fetched.reason, _SECOND * _BUSY)
    return None


def _absent(target: Target, reason: str | None) -> ThimError:
    msg = f"{target}: the vendor has no such document ({reason})"
    return NotFoundError(msg, reason=reason)


def _unavailable(
    target: Target, reason: str | None, wait: timedelta
) -> UnavailableError:
    msg = f"{target}: cannot be fetched now ({reason})"
    seconds = math.ceil(wait.total_seconds())
    return UnavailableError(msg, reason=reason, retry_after=max(1, seconds))
