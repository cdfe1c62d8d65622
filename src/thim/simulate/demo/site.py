"""
The store of a demo, and what asks the simulated vendors for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import logging

from typing import TYPE_CHECKING, Final

from thim.collateral.records import AMD
from thim.services.judging import FleetJudge
from thim.services.once import choose_due, refresh_once
from thim.services.side import facing_vendors
from thim.services.vendors import FillMode, VendorSettings
from thim.services.watchman import Post, Watchman
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.upstream.model import Service, Upstream


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import timedelta
    from pathlib import Path

    from thim.baseline.rollout import Impact
    from thim.collateral.targets import Target
    from thim.services.moves import Move
    from thim.simulate.demo.progress import Progress
    from thim.simulate.demo.vendor import Stage
    from thim.simulate.server import Simulated

#: Who has done all that was done before anybody looked.
ACTOR: Final = "demo"
_BATCH: Final = 20
_AT_ONCE: Final = datetime.timedelta(0)
_VENDORS: Final = logging.getLogger("thim.vendors")
_BASELINES: Final = logging.getLogger("thim.baselines")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    A *store* in the making, on a *stage*; *progress* is told of it.
    """

    stage: Stage
    store: Path
    progress: Progress

    @property
    def vendors(self) -> Simulated:
        """The simulated vendors."""
        return self.stage.vendors

    @property
    def now(self) -> datetime.datetime:
        """The instant at which the vendors play."""
        return self.vendors.clock()

    @property
    def key_file(self) -> Path:
        """Where a service over this store looks for its sealing key."""
        return self.store.with_name("thim.key")

    def travel(self, before: timedelta) -> None:
        """
        Go to the instant that is *before* today's first hour.
        """
        self.vendors.clock.move_to(self.stage.today - before)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Ledger]:
        """
        Open the ledger.
        """
        with Ledger(self.store, self.vendors.anchors) as ledger:
            yield ledger

    @contextlib.contextmanager
    def reading(self) -> Iterator[Replica]:
        """
        Open the store to read.
        """
        with contextlib.closing(Replica(self.store)) as replica:
            yield replica

    def judge(self, move: Move) -> Impact:
        """
        Work out what *move* does to the fleet.
        """
        with self.reading() as replica:
            return FleetJudge(replica, self.now).judge(move)

    def refresh(self, fmspcs: Iterable[str] = ()) -> None:
        """
        Fetch what is promised and due, for *fmspcs* too.
        """
        # Here, and not on the way: what is asked for comes to an end.
        self.progress.pulse()
        asyncio.run(self._fetch(None, frozenset(fmspcs)))

    def fetch(self, targets: Sequence[Target]) -> None:
        """
        Fetch *targets*.
        """
        for start in range(0, len(targets), _BATCH):
            self.progress.pulse()
            some = targets[start : start + _BATCH]
            asyncio.run(self._fetch(some, frozenset()))

    async def _fetch(
        self, targets: Sequence[Target] | None, fmspcs: frozenset[str]
    ) -> None:
        settings = VendorSettings(
            upstreams=_upstreams(self.vendors.url),
            mode=FillMode.LAZY,
            fmspcs=fmspcs,
            key_file=self.key_file,
        )
        # Without jitter, so that each demo is the same.
        async with facing_vendors(
            self.store,
            self.vendors.anchors,
            settings,
            self.vendors.clock,
            lambda: 0.0,
        ) as side:
            choose: Callable[[], Iterable[Target]] = lambda: choose_due(side)  # noqa: E731
            if targets is not None:
                choose = lambda: targets  # noqa: E731
            async for _ in refresh_once(side, choose):
                pass

    def watch(self) -> None:
        """
        Notice new numbers, and rules that come to another one, as a service
        would.
        """
        post = Post(
            store=self.store,
            anchors=self.vendors.anchors,
            hooks=(),
            clock=self.vendors.clock,
            draw=lambda: 0.0,
            judge_number=self._judge_number,
            find_outlooks=self._find_outlooks,
            judge_moves=self._judge_moves,
        )
        with self.reading() as replica:
            Watchman(replica, post).look()

    # In this process: it has loaded what a service has done apart.
    def _judge_number(
        self, _store: Path, number: int, now: datetime.datetime
    ) -> Sequence[Impact]:
        with self.reading() as replica:
            return FleetJudge(replica, now).judge_number(number)

    def _find_outlooks(
        self, _store: Path, now: datetime.datetime
    ) -> dict[str, dict[str, object]]:
        with self.reading() as replica:
            return FleetJudge(replica, now).outlooks()

    def _judge_moves(
        self, _store: Path, moves: Sequence[Move], now: datetime.datetime
    ) -> Sequence[Impact]:
        with self.reading() as replica:
            judge = FleetJudge(replica, now)
            return [judge.judge(move) for move in moves]


def _upstreams(url: str) -> tuple[Upstream, ...]:
    intel = Upstream(url=url, static_url=url, interval=_AT_ONCE)
    amd = dataclasses.replace(intel, vendor=AMD, service=Service.KDS)
    return intel, amd


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """
    Keep out of the log what happens in the past: it is in the store.
    """
    logs = (_VENDORS, _BASELINES, logging.getLogger("stamina"))
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)
