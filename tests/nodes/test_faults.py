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


pytestmark = [needs_root, needs_ip, needs_postgresql]
#: Everything but a kill by itself, which is in a fail-over: who is paused while
#: PostgreSQL crashes and another is cut off; a fail-over; who is cut off from
#: all while PostgreSQL is stopped and another is cut off from it; a leader that
#: is cut off.
SEEDS: Final = (0, 1, 5, 8)
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
    orders = fill(world, rate=15, writes=2, behind=SLACK)
    with contextlib.ExitStack() as stack:
        load = Load(world, orders)
        stack.callback(load.end)
        yield load


def test_whatever_dies(world, load):
    """
    No GET fails on a node that can be reached, what was acknowledged is in the
    ledger and in all replicas, and soon all are of one mind and one node leads
    each vendor.  Every worker of every node soon serves a CRL that one of them
    accepted.

    One test, since a world takes long to make, and each process of a test run
    would make its own.
    """
    for seed in SEEDS:
        player = Player(world, load)
        schedule = make_schedule(seed, nodes=3, outages=[20], stagger=0.1)
        for faults in schedule:
            print(seed, player.play(faults, SLACK))  # noqa: T201 - to look at
            with load.silent():
                player.await_one_mind(5 * SLACK)
                assert [] == judge(world, load.notes()), seed
    took = spreading.measure(world)
    print([round(each, 3) for each in took])  # noqa: T201 - the same
    assert 1.0 * SLACK > took[-1]
