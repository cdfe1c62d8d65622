"""
A store full of good documents, a simulated vendor that may turn bad, another
one that stays good, and a look at what came of asking them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import functools
import tempfile

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding

from tests.new_store import new_store
from tests.store.made import all_stored
from thim.collateral.records import (
    FMSPCS,
    ROOT_CA_CRL,
    CollateralKey,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.collateral.targets import Progress, Target
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.services.outcome import Fetched, Outcome
from thim.services.side import VendorSide, facing_vendors
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.clock import Clock
from thim.simulate.server import Simulated, simulating
from thim.store.engine import open_engine
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.store.watch import Refused, Watch
from thim.upstream.model import Upstream


T = TypeVar("T")

#: When the store was filled ...
NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
#: ... and when the tests play, with a newer document of each kind to be had.
LATER = datetime.datetime(2026, 11, 3, 9, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)

ICE = tcb_info_key(Tee.SGX, bytes.fromhex("00606a000000"), 3)
SAPPHIRE = tcb_info_key(Tee.TDX, bytes.fromhex("00806f050000"), 3)
QE = identity_key(EnclaveKind.QE)
TCB = Target(key=ICE, number=20)
TDX = Target(key=SAPPHIRE, number=20)
IDENTITY = Target(key=QE, number=20)
STANDARD = Target(key=QE, update=Update.STANDARD)
NUMBERS = Target(key=numbers_key(Tee.SGX))
CRL = Target(key=pck_crl_key(PckCa.PLATFORM))
ROOT = Target(key=ROOT_CA_CRL)
LIST = Target(key=FMSPCS)
#: The root CRL comes without a chain, so not first.
TARGETS = (TCB, TDX, IDENTITY, STANDARD, NUMBERS, CRL, ROOT, LIST)

#: A document's key, number, digest and issue date.
Heads = Mapping[tuple[CollateralKey, int | None], tuple[bytes, Any]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """
    The *store*, the vendor that may turn *bad*, and the *good* one.
    """

    store: Path
    bad: Simulated
    good: Simulated

    def at_bad(self, **changes: Any) -> Upstream:
        """
        Make an upstream of the vendor that may turn bad.
        """
        return self._upstream(self.bad, changes)

    def at_good(self, **changes: Any) -> Upstream:
        """
        Make one of the vendor that stays good.
        """
        return self._upstream(self.good, changes)

    def _upstream(
        self, simulated: Simulated, changes: Mapping[str, Any]
    ) -> Upstream:
        # The budget is no hindrance, and the system's many CAs are not read.
        settings = {
            "url": simulated.url,
            "static_url": simulated.url,
            "interval": datetime.timedelta(0),
            "ca_file": self.store.with_name("ca.pem"),
            **changes,
        }
        return Upstream(**settings)

    @property
    def clock(self) -> Clock:
        """
        The clock of everybody.
        """
        return self.bad.clock

    def run(
        self,
        work: Callable[[VendorSide], Awaitable[T]],
        upstreams: Sequence[Upstream] | None = None,
        draw: float = 0,
    ) -> T:
        """
        Do *work* with the side of a process that faces *upstreams*, by
        default the vendor that may turn bad.
        """

        async def scenario() -> T:
            async with facing(self, upstreams, draw) as side:
                return await work(side)

        return asyncio.run(scenario())

    def fetch(
        self,
        target: Target,
        *upstreams: Upstream,
        is_refresh: bool = False,
        draw: float = 0,
    ) -> Fetched:
        """
        Ask for *target* once.
        """
        return self.run(
            lambda side: side.fetcher.fetch(target, is_refresh=is_refresh),
            upstreams or None,
            draw,
        )

    @contextlib.contextmanager
    def watch(self) -> Iterator[Watch]:
        """
        Read the agenda.
        """
        with contextlib.closing(Replica(self.store)) as replica:
            yield Watch(replica)

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """
        Write into the store.
        """
        with Ledger(self.store, self.bad.anchors) as ledger:
            yield ledger

    def progress(self, target: Target) -> Progress:
        """
        Return what is known of asking for *target*.
        """
        with self.watch() as watch:
            found = watch.find(target)
        assert found is not None
        return found

    def is_free(self, target: Target) -> bool:
        """
        Tell whether nobody holds the lease on *target*.
        """
        return not self.progress(target).is_leased(self.clock())

    def refused(self) -> Sequence[Refused]:
        """
        Return what lies in quarantine, the latest first.
        """
        with self.watch() as watch:
            return watch.refused(NOW - 1000 * DAY, 5000)

    def counters(self) -> dict[tuple[str, str], int]:
        """
        Return how often each thing was noticed.
        """
        with self.watch() as watch:
            return {(c.name, c.label): c.count for c in watch.counters()}

    def heads(self) -> Heads:
        """
        Return what is served.
        """
        with self.ledger() as ledger:
            return {
                (s.record.key, s.record.evaluation_number): (
                    s.sha256,
                    s.record.issued,
                )
                for s in all_stored(ledger)
                if s.is_head
            }

    def issue_dates(
        self, key: CollateralKey, number: int | None = None
    ) -> list[datetime.datetime]:
        """
        Return the issue dates of what is archived of *key* and *number*.
        """
        with self.ledger() as ledger:
            return [
                s.record.issued
                for s in all_stored(ledger)
                if (s.record.key, s.record.evaluation_number) == (key, number)
            ]

    def problems(self) -> list[str]:
        """
        Return what is wrong with the file of the store.
        """
        with self.ledger() as ledger:
            return ledger.integrity_problems()


@contextlib.asynccontextmanager
async def facing(bench, upstreams=None, draw=0):
    """
    Face *upstreams* as one process of a service does.
    """
    if upstreams is None:
        upstreams = (bench.at_bad(),)
    settings = VendorSettings(upstreams=tuple(upstreams), mode=FillMode.LAZY)
    async with facing_vendors(
        bench.store, bench.bad.anchors, settings, bench.clock, lambda: draw
    ) as side:
        yield side


@contextlib.contextmanager
def cold_bench(folder: Path, at: datetime.datetime = NOW) -> Iterator[Bench]:
    """
    Begin with an empty store at *at*; time stands still.
    """
    with _standing(folder, at) as bench:
        new_store(bench.store, bench.bad.anchors)
        yield bench


@contextlib.contextmanager
def warm_bench(folder: Path, at: datetime.datetime = LATER) -> Iterator[Bench]:
    """
    Begin with a store that was filled at NOW; time stands still at *at*.
    """
    with _standing(folder, at) as bench:
        bench.store.write_bytes(_warm_store())
        yield bench


@contextlib.contextmanager
def _standing(folder: Path, at: datetime.datetime) -> Iterator[Bench]:
    clock = Clock(at, frozen=True)
    with simulating(clock=clock) as bad, simulating(clock=clock) as good:
        root = bad.intel.pki.root.public_bytes(Encoding.PEM)
        (folder / "ca.pem").write_bytes(root)
        yield Bench(store=folder / "thim.db", bad=bad, good=good)


@functools.cache
def _warm_store() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with cold_bench(folder) as bench:
            bench.run(_fill)
        copy = folder / "copy.db"
        engine = open_engine(folder / "thim.db")
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("VACUUM INTO ?", (str(copy),))
        engine.dispose()
        return copy.read_bytes()


async def _fill(side: VendorSide) -> None:
    for target in TARGETS:
        fetched = await side.fetcher.fetch(target, is_refresh=False)
        assert Outcome.TAKEN is fetched.outcome, fetched
