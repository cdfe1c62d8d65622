"""
What is old enough is erased: machines that have left, and who has asked.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import logging
import random
import time

from typing import TYPE_CHECKING, Final

from thim.errors import ThimError
from thim.services.decisions import JumpWatch


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from thim.store.erasure import Erasure
    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger("thim.retention")
SIGHTINGS: Final = datetime.timedelta(days=30)
_LOOK: Final = 3600.0
_ACTOR: Final = "thim"
#: In one transaction: others wait to write meanwhile.
_MOST: Final = 200
_PAUSE: Final = 0.2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """
    How long it is kept who has asked (*sightings*), and what is known of
    *machines* that have left: for ever where that is None.
    """

    sightings: datetime.timedelta = SIGHTINGS
    machines: datetime.timedelta | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """
    Erases in a *store*, made for *anchors*, what is older than its
    *retention* has it.
    """

    store: Path
    anchors: TrustAnchors
    retention: Retention

    async def follow(self, clock: Callable[[], datetime.datetime]) -> None:
        """
        Erase each hour, until cancelled; every process may.  Not for a day
        after the clock has jumped.
        """
        watch = JumpWatch()
        watch.is_steady(clock(), time.monotonic())
        while True:
            await asyncio.sleep(_LOOK * (0.5 + random.random()))  # noqa: S311
            now = clock()
            if not watch.is_steady(now, time.monotonic()):
                continue
            try:
                await self.erase(now)
            except ThimError as e:
                _log.warning("nothing is erased for now: %s", e)

    async def erase(self, now: datetime.datetime) -> int:
        """
        Erase what is old enough, little by little; return how much that was.

        Raises:
            ThimError: The store cannot be written.
        """
        erased = 0
        while last := await asyncio.to_thread(self._erase_some, now):
            erased += last
            await asyncio.sleep(_PAUSE)
        return erased

    def _erase_some(self, now: datetime.datetime) -> int:
        # Only now: a service that starts need not carry it all.
        from thim.store.ledger import Ledger  # noqa: PLC0415

        with Ledger(self.store, self.anchors) as ledger:
            erasure = ledger.erasure
            seen = erasure.sightings(now - self.retention.sightings)
            return seen + self._erase_machines(erasure, now)

    def _erase_machines(self, erasure: Erasure, now: datetime.datetime) -> int:
        if self.retention.machines is None:
            return 0
        before = now - self.retention.machines
        return (
            erasure.platforms(before, _MOST, actor=_ACTOR, now=now)
            + erasure.chips(before, _MOST, actor=_ACTOR, now=now)
            + erasure.inventory(before)
        )
