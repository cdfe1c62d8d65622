"""
The courier: carries notices to webhooks, in each process, until they are taken
or given up.

All of them share the queue through the ledger.  A notice is carried at least
once; its ID lets receivers tell repeated ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from thim.errors import ThimError, printable
from thim.store.notice_view import NoticeView
from thim.store.replica import Replica
from thim.upstream.webhook import Outcome


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.store.deliveries import Claimed
    from thim.store.ledger import Ledger
    from thim.store.notice_view import Notice
    from thim.upstream.webhook import Posted, Webhook
    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger("thim.webhooks")
_RANDOM: Final = random.SystemRandom()

_TICK: Final = timedelta(seconds=5)
#: So many ticks between two looks at a store that cannot be used.
_MANY: Final = 12
#: Longer than any attempt may take.
LEASE: Final = timedelta(minutes=2)
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(hours=1)
_JITTER: Final = 0.3
#: After so long a notice is given up, ...
PATIENCE: Final = timedelta(hours=24)
#: ... but not before so many attempts: nobody may have been there to try.
LEAST_ATTEMPTS: Final = 10


class Courier:
    """
    Carries the notices of *store* to *webhooks*; lives on one event loop.

    *clock* returns the current instant, *draw* a number from 0 to 1 for
    pauses; the queue is looked at once in each *tick*.
    """

    def __init__(  # noqa: PLR0913 - what it is told, and what tests vary
        self,
        webhooks: Collection[Webhook],
        store: Path,
        anchors: TrustAnchors,
        clock: Callable[[], datetime],
        *,
        draw: Callable[[], float] = _RANDOM.random,
        tick: timedelta = _TICK,
    ) -> None:
        self._webhooks = {hook.name: hook for hook in webhooks}
        self._store = store
        self._anchors = anchors
        self._clock = clock
        self._draw = draw
        self._tick = tick

    async def follow(self) -> None:
        """
        Carry what is due until cancelled; nothing that goes wrong ends it.
        """
        while True:
            # As wide as can be: nobody would hear of a courier that has died.
            try:
                await self._follow()
            except Exception as e:  # noqa: BLE001
                self._blame(e)
            await self._rest(_MANY)

    async def _follow(self) -> None:
        with contextlib.closing(Replica(self._store)) as replica:
            view = NoticeView(replica)
            while True:
                while view.is_due(self._clock(), self._webhooks):
                    if not await self.carry():
                        break  # others were faster
                await self._rest()

    async def _rest(self, ticks: int = 1) -> None:
        # Not all workers at once.
        seconds = self._tick.total_seconds() * ticks
        await asyncio.sleep(seconds * (1 - _JITTER * self._draw()))

    async def carry(self) -> int:
        """
        Try what is due, once; return how much that was.

        Raises:
            OperatorError: The store cannot be opened or written.
        """
        claimed = await self._run(self._claim)
        ended = await asyncio.gather(
            *map(self._deliver, claimed), return_exceptions=True
        )
        for error in ended:
            if isinstance(error, Exception):
                self._blame(error)
        return len(claimed)

    async def _deliver(self, claimed: Claimed) -> None:
        from thim.upstream.posting import post  # noqa: PLC0415 - loads httpx2

        posted = await post(
            self._webhooks[claimed.hook],
            write_message(claimed.notice),
            now=self._clock(),
            delivery_id=claimed.delivery_id,
        )
        await self._run(self._settle, claimed, posted)

    async def _run(self, work: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what *work* returns
        return await asyncio.to_thread(self._with_ledger, work, *arguments)

    def _with_ledger(self, work: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        # Only now: a service with nothing to tell need not carry it all.
        from thim.store.ledger import Ledger  # noqa: PLC0415

        with Ledger(self._store, self._anchors) as ledger:
            return work(ledger, *arguments)

    def _claim(self, ledger: Ledger) -> Sequence[Claimed]:
        return ledger.notices.claim(self._clock(), LEASE, self._webhooks)

    def _settle(self, ledger: Ledger, claimed: Claimed, posted: Posted) -> None:
        now, detail = self._clock(), posted.detail
        if posted.outcome is Outcome.DELIVERED:
            ledger.notices.settle(claimed, delivered=now, detail=detail)
            _log.info("%s is delivered", _describe(claimed, posted))
        elif posted.outcome is Outcome.GONE or is_over(claimed, now):
            self._give_up(ledger, claimed, posted, now)
        else:
            due = now + find_pause(claimed.attempts, self._draw())
            ledger.notices.settle(claimed, due=due, detail=detail)
            _log.info(
                "%s is tried again at %s",
                _describe(claimed, posted),
                f"{due:%FT%TZ}",
            )

    @staticmethod
    def _give_up(
        ledger: Ledger, claimed: Claimed, posted: Posted, now: datetime
    ) -> None:
        what = _describe(claimed, posted)
        with ledger.all_or_none():
            is_ours = ledger.notices.settle(claimed, detail=posted.detail)
            if is_ours:
                ledger.events.add(
                    "webhook-give-up", what, actor="thim", now=now
                )
        if is_ours:
            _log.warning("%s is given up", what)

    @staticmethod
    def _blame(error: Exception) -> None:
        is_ours = isinstance(error, ThimError)
        _log.warning("webhooks: %s", error, exc_info=None if is_ours else error)


def write_message(notice: Notice) -> bytes:
    """
    Write *notice* as it is sent; the same bytes each time.
    """
    message = {
        "type": notice.kind,
        "timestamp": f"{notice.at:%FT%TZ}",
        "subject": notice.subject,
        "data": json.loads(notice.body),
    }
    return json.dumps(message).encode()


def find_pause(attempts: int, draw: float) -> timedelta:
    """
    Return how long to wait after so many *attempts* that failed: from ten
    seconds to an hour, doubled each time; less by up to 30 % as *draw* (0 to
    1) decides, so that not all come at once.
    """
    doubled = FIRST_PAUSE * (1 << min(attempts - 1, 16))
    return min(doubled, LONGEST_PAUSE) * (1 - _JITTER * draw)


def is_over(claimed: Claimed, now: datetime) -> bool:
    """
    Tell whether the attempt that *claimed* is was the last.
    """
    is_old = now - claimed.notice.at >= PATIENCE
    return is_old and claimed.attempts >= LEAST_ATTEMPTS


def _describe(claimed: Claimed, posted: Posted) -> str:
    notice = claimed.notice
    what = printable(f"{notice.kind} {notice.subject}")
    return (
        f"webhook {claimed.hook}, {what}, attempt {claimed.attempts} "
        f"({posted.detail})"
    )
