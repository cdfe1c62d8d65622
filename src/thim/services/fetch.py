"""
Ask the vendors for one document: under a lease, within the budget, from one
upstream after the other until one gives what was asked for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from thim.collateral.records import Kind
from thim.collateral.targets import LONGEST_LEASE
from thim.errors import OperatorError, UpstreamError
from thim.services.amd_desk import AmdDesk
from thim.services.desk import Desk
from thim.services.outcome import NOT_NOW, Fetched, Outcome, blame, sum_up
from thim.services.pck_desk import PckDesk
from thim.store.agenda import Since
from thim.store.budget import Budget
from thim.upstream.asking import write_request
from thim.upstream.transport import MOST_ATTEMPTS, Transport


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.collateral.targets import Target
    from thim.store.ledger import Ledger
    from thim.upstream.model import Request, Response, Upstream
    from thim.upstream.pck import PlatformSecrets

T = TypeVar("T")

#: Beside what the upstreams may take: for pauses, and the ledger.
_SLACK: Final = timedelta(seconds=30)
#: What has failed so often is no way to try an address that was left alone.
_HOPELESS: Final = 10
#: One request in so many is a refresh's, however many callers wait.
_SHARE: Final = 4
#: The rest after something went wrong that should not.
_PAUSE: Final = timedelta(seconds=30)
#: Why a manifest cannot be opened: another time will not be better.
_KEYS: Final = frozenset({"key-lost", "no-key", "key-file", "key-file-content"})


class _NotNowError(UpstreamError):
    def __init__(self, address: str, until: datetime) -> None:
        msg = f"{address}: not to be asked before {until:%FT%TZ}"
        super().__init__(msg, reason=NOT_NOW)
        self.until = until


class Fetcher:
    """
    Asks *upstreams* in their order, for all that one process wants.

    Args:
        ledger: Where documents, leases and budgets are kept.
        upstreams: Whom to ask.
        clock: Returns the current instant.
        draw: Returns a number from 0 to 1, for jitter.
        owner: Tells this process's leases from others'.
        key_file: Holds the key that manifests are sealed with.

    Raises:
        OperatorError: An upstream's CA file or proxy cannot be used.
    """

    def __init__(  # noqa: PLR0913 - what one process has
        self,
        *,
        ledger: Ledger,
        upstreams: Sequence[Upstream],
        clock: Callable[[], datetime],
        draw: Callable[[], float],
        owner: str,
        key_file: Path | None = None,
    ) -> None:
        #: Told each address and what it answered: the status, or why there was
        #: no answer, or ``not-now`` where it was not asked.
        self.tell: Callable[[str, str], None] = lambda *_: None
        self._agenda = ledger.agenda
        self._links = [(u, Transport(u)) for u in upstreams]
        # It matters only when a process dies while it asks.
        takes = (MOST_ATTEMPTS * u.timeout for u in upstreams)
        self._lease = min(_SLACK + sum(takes, timedelta()), LONGEST_LEASE)
        self._clock = clock
        # Each lease has an owner of its own, or one of our tasks could end
        # another's.
        self._owners = (f"{owner}-{n}" for n in itertools.count())
        self._pck = PckDesk(
            ledger=ledger, key_file=key_file, clock=clock, draw=draw
        )
        self._desk = Desk(
            ledger=ledger,
            pck=self._pck,
            amd=AmdDesk(ledger=ledger, clock=clock, draw=draw),
            order=tuple(upstream.url for upstream in upstreams),
            clock=clock,
            draw=draw,
        )
        # One thread for the ledger: the loop never waits for the disk.
        self._thread = concurrent.futures.ThreadPoolExecutor(
            1, thread_name_prefix="thim-ledger"
        )

    async def close(self) -> None:
        """
        Close the connections, and wait for what is being written.
        """
        for _, transport in self._links:
            await transport.close()
        await asyncio.to_thread(self._thread.shutdown)

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """
        Have the ledger's thread do *work*.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, functools.partial(work, *args)
        )

    async def fetch(
        self,
        target: Target,
        *,
        is_refresh: bool,
        unless_since: Since | None = None,
        secrets: PlatformSecrets | None = None,
    ) -> Fetched:
        """
        Ask for *target* and write down how it went; where that are a
        platform's PCK certificates, by *secrets* or what is registered.

        A refresh asks only for what is due, leaves half of a budget's burst to
        callers who wait, and has a share that they cannot take.  With
        *unless_since* nobody is asked if somebody else has asked since.
        """
        now, owner = self._clock(), next(self._owners)
        claim = functools.partial(
            self._agenda.claim,
            now=now,
            until=now + self._lease,
            is_due=is_refresh,
            unless_since=unless_since,
        )
        try:
            return await self._fetch(
                target, owner, claim, secrets, is_refresh=is_refresh
            )
        except BaseException as e:
            # Behind all else that the thread does for this lease.
            is_over = isinstance(e, asyncio.CancelledError)
            due = now if is_over else now + _PAUSE
            self._thread.submit(self._agenda.postpone, target, owner, due)
            raise

    async def _fetch(
        self,
        target: Target,
        owner: str,
        claim: Callable[[Target, str], int | None],
        secrets: PlatformSecrets | None,
        *,
        is_refresh: bool,
    ) -> Fetched:
        failures = await self.run(claim, target, owner)
        if failures is None:
            return Fetched(outcome=Outcome.ELSEWHERE)
        try:
            if target.key.kind is Kind.PCK_CERTIFICATES and secrets is None:
                secrets = await self.run(self._pck.read_secrets, target)
            fetched = await self._ask_all(
                target, secrets, failures, is_refresh=is_refresh
            )
        except OperatorError as e:
            if e.reason not in _KEYS:
                raise
            fetched = blame(e)
        await self.run(self._desk.settle, target, owner, fetched, failures)
        return fetched

    async def _ask_all(
        self,
        target: Target,
        secrets: PlatformSecrets | None,
        failures: int,
        *,
        is_refresh: bool,
    ) -> Fetched:
        tried: list[Fetched] = []
        for upstream, transport in self._links:
            request = write_request(upstream, target, secrets)
            if request is None:
                continue
            budget = _budget(upstream, is_refresh=is_refresh, failures=failures)
            read = functools.partial(
                self._desk.read, upstream, target, secrets=secrets
            )
            fetched = await self._ask(transport, request, budget, read)
            if fetched.outcome is Outcome.TAKEN:
                return fetched
            tried.append(fetched)
        return sum_up(tried)

    async def _ask(
        self,
        transport: Transport,
        request: Request,
        budget: Budget,
        read: Callable[[Response], Fetched],
    ) -> Fetched:
        address = request.address
        permit = functools.partial(self._permit, address, budget)
        try:
            response = await transport.get(request, permit)
        except _NotNowError as e:
            self.tell(address, NOT_NOW)
            return blame(e, Outcome.NOT_NOW, until=e.until)
        except UpstreamError as e:
            self.tell(address, e.reason)
            await self.run(self._desk.report_failure, address, e)
            return blame(e)
        self.tell(address, str(response.status))
        await self.run(self._desk.report, address, response)
        return await self.run(read, response)

    async def _permit(self, address: str, budget: Budget) -> None:
        now = self._clock()
        until = await self.run(self._agenda.spend, address, budget, now)
        if until is not None:
            raise _NotNowError(address, until)


def _budget(upstream: Upstream, *, is_refresh: bool, failures: int) -> Budget:
    if not is_refresh:
        return Budget(
            interval=upstream.interval,
            burst=upstream.burst,
            # Or who asks for what always fails keeps an address closed.
            may_try=failures < _HOPELESS,
        )
    return Budget(
        interval=upstream.interval,
        burst=max(1, upstream.burst // 2),
        # Where nothing is ever sent at once there is nothing to share.
        share=_SHARE * upstream.interval if upstream.burst > 1 else None,
    )
