"""
A store and a simulated AMD, at a clock that is moved by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.new_store import new_store
from thim.amd.authorities import KeyKind
from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine
from thim.collateral.amd_keys import cert_chain_key, vcek_target
from thim.collateral.records import AMD
from thim.collateral.targets import Progress, Target
from thim.services.chips import Chips
from thim.services.outcome import Outcome
from thim.services.side import VendorSide, facing_vendors
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.clock import Clock
from thim.simulate.server import Simulated, simulating
from thim.simulate.world import World
from thim.store.chip_queue_view import ChipQueueView
from thim.store.endorsement_view import EndorsementView
from thim.store.replica import Replica
from thim.store.watch import Watch
from thim.upstream.model import Service, Upstream


T = TypeVar("T")

NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
MILAN, GENOA, TURIN = ProductLine
CHAIN = Target(key=cert_chain_key(KeyKind.VCEK, MILAN))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AmdBench:
    """
    The *store* and the *vendor*.
    """

    store: Path
    vendor: Simulated

    @property
    def clock(self) -> Clock:
        """
        The clock of everybody.
        """
        return self.vendor.clock

    def name(self, n: int = 0, chip: str = "milan-1") -> ChipTcb:
        """
        Name a chip's VCEK of its TCB, or of one that is *n* lower.
        """
        found = self.vendor.chip(chip)
        tcb = dataclasses.replace(found.reported, snp=found.reported.snp - n)
        return ChipTcb(product=found.product, hw_id=found.hw_id, tcb=tcb)

    def upstream(self, **changes: Any) -> Upstream:
        """
        Make an upstream of the vendor, whose budget is no hindrance unless
        told so.
        """
        settings = {
            "vendor": AMD,
            "service": Service.KDS,
            "url": self.vendor.url,
            "static_url": self.vendor.url,
            "interval": datetime.timedelta(0),
            "timeout": datetime.timedelta(seconds=2),
            **changes,
        }
        return Upstream(**settings)

    def asked(self) -> list[str]:
        """
        Return the SNP levels of the VCEKs that were asked for, in their
        order.
        """
        return [
            dict(pair.split("=") for pair in request.query.split("&"))["snpSPL"]
            for request in self.vendor.requests.of("vcek")
        ]

    def run(
        self, work: Callable[[VendorSide], Awaitable[T]], **changes: Any
    ) -> T:
        """
        Do *work* with the side of a process.
        """

        async def scenario() -> T:
            async with self.facing(**changes) as side:
                return await work(side)

        return asyncio.run(scenario())

    @contextlib.asynccontextmanager
    async def facing(
        self,
        mode: FillMode = FillMode.LAZY,
        wait: datetime.timedelta = 2 * SECOND,
        **changes: Any,
    ) -> AsyncIterator[VendorSide]:
        """
        Face the vendor as one process of a service does.
        """
        settings = VendorSettings(
            upstreams=(self.upstream(**changes),), mode=mode, wait=wait
        )
        anchors = self.vendor.anchors
        async with facing_vendors(
            self.store, anchors, settings, self.clock, lambda: 0.0
        ) as side:
            yield side

    @contextlib.contextmanager
    def replica(self) -> Iterator[Replica]:
        """
        Read the store.
        """
        with contextlib.closing(Replica(self.store)) as opened:
            yield opened

    def waiting(self) -> int:
        """
        Count the VCEKs that are waited for.
        """
        with self.replica() as replica:
            return ChipQueueView(replica).count()

    def has(self, name: ChipTcb) -> bool:
        """
        Tell whether a VCEK is served.
        """
        with self.replica() as replica:
            return EndorsementView(replica).find_vcek(name) is not None

    def progress(self, name: ChipTcb) -> Progress:
        """
        Return what is known of asking for a VCEK.
        """
        with self.replica() as replica:
            found = Watch(replica).find(vcek_target(name))
        assert found is not None
        return found


@contextlib.contextmanager
def amd_bench(
    folder: Path,
    world: World | None = None,
    at: datetime.datetime = NOW,
) -> Iterator[AmdBench]:
    """
    Begin with an empty store at an instant; the vendor admits any number of
    requests.
    """
    with simulating(world, Clock(at, frozen=True)) as vendor:
        vendor.amd.limiter.is_on = False
        new_store(folder / "thim.db", vendor.anchors)
        yield AmdBench(store=folder / "thim.db", vendor=vendor)


async def have_chain(side: VendorSide, target: Target = CHAIN) -> None:
    """
    Fetch the chain of a product line.
    """
    fetched = await side.fetcher.fetch(target, is_refresh=False)
    assert Outcome.TAKEN is fetched.outcome


async def work_off(chips: Chips) -> bool:
    """
    Start, and wait until there is nothing to do at once; tell whether there
    was anything.
    """
    assert chips.start() is None
    task = chips._task
    if task is None:
        return False
    await task
    return True
