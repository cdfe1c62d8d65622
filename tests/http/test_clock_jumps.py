"""
A machine whose clock jumps by a year, and is set right again, while it serves
and refreshes; the vendor's clock stays right.
"""

import contextlib

import pytest

from tests.new_store import new_store
from tests.serving import serving
from tests.vendors import (
    DAY,
    HOUR,
    ICE,
    NOW,
    SAPPHIRE,
    SGX,
    TDX,
    await_so,
    settle,
    standing,
    vendor_settings,
)
from thim.services.tokens import Role, make_token
from thim.simulate.server import simulating
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.store.watch import Watch


#: Of one number: which one is in force is a matter of dates.
HELD = f"{SGX}/tcb?fmspc={ICE}&tcbEvaluationDataNumber=20"
MISSING = f"{TDX}/tcb?fmspc={SAPPHIRE}"
ZERO, YEAR = 0 * DAY, 365 * DAY
WHOAMI = "/admin/v1/whoami"


@pytest.fixture
def simulated():
    """
    A vendor at an instant that stands still.
    """
    with simulating(clock=standing()) as running:
        yield running


@pytest.fixture
def store(simulated, tmp_path):
    """
    An empty store for its documents.
    """
    path = tmp_path / "thim.db"
    new_store(path, simulated.anchors)
    return path


@pytest.fixture
def token(store, simulated):
    """
    A token for ninety days.
    """
    text, kept = make_token(
        "ci", Role.READER, actor="me", now=NOW, expires=NOW + 90 * DAY
    )
    with Ledger(store, simulated.anchors) as ledger:
        ledger.tokens.add(kept)
    return {"Authorization": f"Bearer {text}"}


class Jumping:
    """
    A machine's own clock: the vendor's, and by how much it is *ahead* of that.
    """

    def __init__(self, right, ahead=ZERO):
        self._right = right
        self.ahead = ahead

    def __call__(self):
        """
        Return the instant that it says.
        """
        return self._right() + self.ahead


@pytest.fixture
def ours(simulated):
    """
    The clock of the service, right at first.
    """
    return Jumping(simulated.clock)


@pytest.fixture
def served(simulated, store, token, ours):
    """
    A service by that clock, which has fetched what it promises.
    """
    settings = vendor_settings(simulated)
    with serving(
        store, ours, anchors=simulated.anchors, vendors=settings
    ) as running:
        assert 200 == running.get(HELD).status
        settle(store, simulated)
        yield running


def await_asked(served, store, clock):
    """
    Wait until a vendor was asked by a clock as it is now; the service is ready
    all the while.
    """
    now = clock()

    def is_asked():
        assert 200 == served.get("/health/ready").status
        with contextlib.closing(Replica(store)) as replica:
            progress = Watch(replica).progress()
        return any(
            p.attempted is not None and abs(p.attempted - now) < HOUR
            for p in progress
        )

    await_so(is_asked, "asked")


def is_set_right(served, simulated, ours):
    """
    Set the clock right and have it so for a while; return the answers that
    should be as they ever were.
    """
    ours.ahead = ZERO
    simulated.clock.advance(HOUR)
    await_so(lambda: served.get(MISSING).status == 200, "fetched")
    return served.get(HELD)


def test_forwards(served, simulated, store, token, ours):
    """
    A year ahead everything is expired: documents are flagged and not
    remembered by clients, and tokens count no more. Set right, all of it is
    over: nothing waits until that year has passed.
    """
    before = served.get(HELD)
    assert 200 == served.get(WHOAMI, token).status
    ours.ahead = YEAR
    await_asked(served, store, ours)
    ahead, fetched = served.get(HELD), served.get(MISSING)
    refused = served.get(WHOAMI, token)
    after = is_set_right(served, simulated, ours)

    assert (200, before.body) == (ahead.status, ahead.body)
    assert "expired" in ahead["warning"]
    assert "max-age=0" in ahead["cache-control"]
    assert (200, True) == (fetched.status, "expired" in fetched["warning"])
    assert 401 == refused.status
    assert (200, before.body) == (after.status, after.body)
    assert "warning" not in after
    assert 200 == served.get(WHOAMI, token).status


def test_backwards(served, simulated, store, token, ours):
    """
    A year behind what is held is served as before, and nothing new is taken,
    since it was issued in a future that far off. Set right, it is.
    """
    before = served.get(HELD)
    ours.ahead = -YEAR
    await_asked(served, store, ours)
    behind = served.get(HELD)
    missing = served.get(MISSING)
    known = served.get(WHOAMI, token)
    after = is_set_right(served, simulated, ours)

    assert (200, before.body) == (behind.status, behind.body)
    assert "warning" not in behind
    assert 503 == missing.status
    assert 200 == known.status
    assert (200, before.body) == (after.status, after.body)


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_restarted(simulated, store, token, ours, jump):
    """
    A service that begins by a wrong clock is set right as well.
    """
    ours.ahead = jump
    vendors = vendor_settings(simulated)
    settings = {"anchors": simulated.anchors, "vendors": vendors}
    with serving(store, ours, **settings) as served:
        await_asked(served, store, ours)
        after = is_set_right(served, simulated, ours)
        known = served.get(WHOAMI, token)

    assert 200 == after.status
    assert "warning" not in after
    assert 200 == known.status
