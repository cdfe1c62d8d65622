"""
A service that faces a simulated vendor, in the test's own process.
"""

from __future__ import annotations

import contextlib
import datetime
import time

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.new_store import new_store
from tests.serving import Served, serving
from thim.services.promise import list_promises
from thim.services.status import Status, read_status
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.clock import Clock
from thim.simulate.server import Simulated
from thim.store.replica import Replica
from thim.store.watch import Watch
from thim.upstream.model import Upstream


SGX = "/sgx/certification/v4"
TDX = "/tdx/certification/v4"
ICE = "00606A000000"
SAPPHIRE = "00806F050000"
COFFEE = "00906ED50000"
#: When the tests begin; time stands still unless they move it.
NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)


def standing(at: datetime.datetime = NOW) -> Clock:
    """
    Make a clock that stands still.
    """
    return Clock(at, frozen=True)


def upstream(simulated: Simulated, **changes: Any) -> Upstream:
    """
    Make an upstream of a simulated vendor; its budget is no hindrance unless
    told so.
    """
    settings = {
        "url": simulated.url,
        "static_url": simulated.url,
        "interval": datetime.timedelta(0),
        "timeout": datetime.timedelta(seconds=2),
        **changes,
    }
    return Upstream(**settings)


def vendor_settings(
    *simulated: Simulated, upstreams: Sequence[Upstream] = (), **changes: Any
) -> VendorSettings:
    """
    Make settings that point to *simulated*, with an agenda that is looked at
    all the time; callers wait for as long as a busy machine may need.
    """
    settings = {
        "upstreams": (*map(upstream, simulated), *upstreams),
        "mode": FillMode.LAZY,
        "tick": datetime.timedelta(milliseconds=5),
        "wait": datetime.timedelta(seconds=8),
        **changes,
    }
    return VendorSettings(**settings)


@contextlib.contextmanager
def facing(
    simulated: Simulated,
    store: Path,
    vendors: VendorSettings | None = None,
    **settings: Any,
) -> Iterator[Served]:
    """
    Serve *store*, which is made if it is not there, by the vendor's clock.
    """
    if not store.exists():
        new_store(store, simulated.anchors)
    if vendors is None:
        vendors = vendor_settings(simulated)
    settings = {"anchors": simulated.anchors, "vendors": vendors, **settings}
    with serving(store, simulated.clock, **settings) as served:
        yield served


def status_of(
    store: Path, simulated: Simulated, vendors: VendorSettings | None = None
) -> Status:
    """
    Read how the service over *store* stands.
    """
    if vendors is None:
        vendors = vendor_settings(simulated)
    with contextlib.closing(Replica(store)) as replica:
        return read_status(replica, Watch(replica), vendors, simulated.clock())


def autonomy_of(
    store: Path, simulated: Simulated, vendors: VendorSettings | None = None
) -> datetime.timedelta:
    """
    Read for how long all that is promised is valid.
    """
    autonomy = status_of(store, simulated, vendors).autonomy
    assert autonomy is not None
    return autonomy


def await_so(is_so: Callable[[], object], what: str = "") -> None:
    """
    Wait until something is so, for half a minute at most; look at first all
    the time, and after a second twenty times in one.
    """
    until, pause = time.monotonic() + 30, 0.005
    while not is_so():
        assert time.monotonic() < until, f"never so: {what}"
        time.sleep(pause)
        pause = min(pause * 1.1, 0.05)


def await_quiet(
    store: Path, simulated: Simulated, vendors: VendorSettings | None = None
) -> Status:
    """
    Wait until everything that is promised is on the agenda, and nothing of it
    is due or being asked for.
    """
    await_so(lambda: _is_quiet(store, simulated, vendors), "quiet")
    return status_of(store, simulated, vendors)


def _is_quiet(
    store: Path, simulated: Simulated, vendors: VendorSettings | None
) -> bool:
    vendors = vendors or vendor_settings(simulated)
    now = simulated.clock()
    with contextlib.closing(Replica(store)) as replica:
        watch = Watch(replica)
        with replica.snapshot():
            progress = {p.target: p for p in watch.progress()}
            is_busy = any(p.is_leased(now) for p in progress.values())
            is_busy = is_busy or bool(watch.due(now, 1))
        promised = list_promises(replica, vendors)
        is_planned = all(
            target in progress and progress[target].due for target in promised
        )
        return is_planned and not is_busy


def settle(
    store: Path, simulated: Simulated, vendors: VendorSettings | None = None
) -> Status:
    """
    Let half a minute pass, in which a new service fetches what it promises,
    and wait until it has.
    """
    await_quiet(store, simulated, vendors)
    simulated.clock.advance(datetime.timedelta(seconds=31))
    return await_quiet(store, simulated, vendors)
