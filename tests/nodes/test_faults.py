"""
Three nodes, whatever dies: seeds of a minute; ``make soak`` has longer ones.
"""

import contextlib
import os

from typing import Final

import pytest

from tests.needs import needs_ip, needs_root
from tests.nodes import spreading
from tests.nodes.filling import fill
from tests.nodes.play import Load, Player, judge
from tests.nodes.schedule import make_schedule
from tests.nodes.world import open_world
from tests.postgresql import needs_postgresql


#: One world for all, so one process (``--dist loadgroup``).
pytestmark = [
    needs_root,
    needs_ip,
    needs_postgresql,
    pytest.mark.xdist_group("world of nodes"),
]
#: Everything but a kill by itself, which is in a fail-over: who is paused while
#: PostgreSQL crashes and another is cut off; a fail-over; who is cut off from
#: all while PostgreSQL is stopped and another is cut off from it.
SEEDS: Final = (0, 1, 5)
#: How much longer than promised it may take to heal: other tests run too.
SLACK: Final = float(os.environ.get("THIM_TEST_SLACK", "4"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """
    The world of all seeds.
    """
    with open_world(tmp_path_factory.mktemp("nodes") / "world") as opened:
        yield opened


@pytest.fixture(scope="module")
def load(world):
    """
    Clients that ask and write all the time.
    """
    orders = fill(world, rate=15, writes=2)
    with contextlib.ExitStack() as stack:
        load = Load(world, orders)
        stack.callback(load.end)
        yield load


@pytest.mark.parametrize("seed", SEEDS)
def test_seed(world, load, seed):
    """
    No GET fails on a node that can be reached, what was acknowledged is in the
    ledger and in all replicas, and soon all are of one mind and one node leads
    each vendor.
    """
    schedule = make_schedule(seed, nodes=3, rounds=1, outage=20, stagger=2)
    player = Player(world, load)
    for faults in schedule:
        print(player.play(faults, SLACK))  # noqa: T201 - where one looks
        with load.silent():
            player.await_one_mind(5 * SLACK)
            assert [] == judge(world, load.notes())


def test_spreads(world, load):
    """
    Every worker of every node soon serves a CRL that one of them accepted.
    """
    took = spreading.measure(world)

    print([round(each, 3) for each in took])  # noqa: T201 - where one looks
    assert 1.0 * SLACK > took[-1]
