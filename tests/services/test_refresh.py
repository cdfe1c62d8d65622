"""
A refresher that meets what it does not expect.
"""

import asyncio
import contextlib

import pytest

from tests.new_store import new_store
from tests.serving import serving
from tests.vendors import SGX, standing, vendor_settings
from thim.services.refresh import Refresher
from thim.services.side import facing_vendors
from thim.simulate.server import simulating


class BrokenClock:
    """
    A clock that fails as no error of ours does, while it is broken.
    """

    def __init__(self, clock):
        self.clock = clock
        self.is_broken = False

    def __call__(self):
        """
        Tell the time, or fail.
        """
        if self.is_broken:
            msg = "no time"
            raise ZeroDivisionError(msg)
        return self.clock()


@pytest.fixture
def vendor():
    """
    A vendor at a standing clock.
    """
    with simulating(clock=standing()) as running:
        yield running


@pytest.fixture
def store(vendor, tmp_path):
    """
    An empty store.
    """
    new_store(tmp_path / "thim.db", vendor.anchors)
    return tmp_path / "thim.db"


@contextlib.asynccontextmanager
async def refreshing(vendor, store, clock):
    """
    A refresher that is stepped by hand.
    """
    settings = vendor_settings(vendor)
    async with facing_vendors(store, vendor.anchors, settings, clock) as side:
        yield Refresher(side)


def test_outlives_a_bug(vendor, store, caplog):
    """
    An error that nobody foresaw is said, with where it came from, and ends
    nothing: the next step is well.
    """
    clock = BrokenClock(vendor.clock)

    async def scenario():
        async with refreshing(vendor, store, clock) as refresher:
            clock.is_broken = True
            first = await refresher.step(), refresher.trouble
            clock.is_broken = False
            second = await refresher.step(), refresher.trouble
            await refresher._stop()
            return first, second

    first, second = asyncio.run(scenario())

    assert (False, "refresh: ZeroDivisionError: no time") == first
    assert (True, None) == second
    assert "Traceback" in caplog.text


def test_seen_from_outside(vendor, store):
    """
    Readiness and metrics say so while it lasts, and the service answers.
    """
    settings = vendor_settings(vendor)
    with serving(
        store, vendor.clock, anchors=vendor.anchors, vendors=settings
    ) as served:
        before = served.get("/metrics").body
        served.state["service"].find_trouble = lambda: "refresh: KeyError: x"
        ready = served.get("/health/ready")
        after = served.get("/metrics").body
        got = served.get(f"{SGX}/qe/identity")

    assert b"thim_refresh_failed 0.0" in before
    assert (200, True) == (
        ready.status,
        "refresh-failed: refresh: KeyError: x" in ready.json["reasons"],
    )
    assert b"thim_refresh_failed 1.0" in after
    assert 200 == got.status
