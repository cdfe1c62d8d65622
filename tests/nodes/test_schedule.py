import itertools

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.nodes.schedule import (
    LEDGER,
    TAKEN_OVER,
    UNREACHABLE,
    Kind,
    make_schedule,
)


SEEDS = st.integers(0, 2**32)


def make(seed, outages=(20,) * 5):
    """
    Make a schedule for three nodes.
    """
    return make_schedule(seed, nodes=3, outages=outages, stagger=0.2)


@given(SEEDS)
def test_repeatable(seed):
    """
    A seed gives the same schedule each time.
    """
    assert make(seed) == make(seed)


@given(SEEDS)
def test_someone_is_left(seed):
    """
    In each round something goes wrong; one node at most cannot be reached,
    one at most is cut off from the ledger alone, and it is another.
    """
    for faults in make(seed):
        assert faults
        nodes = [f.node for f in faults if f.node is not None]
        assert len(nodes) == len(set(nodes))
        assert 1 >= sum(f.kind in UNREACHABLE for f in faults)
        assert 1 >= sum(f.kind in LEDGER for f in faults)


@given(SEEDS)
def test_takeover_is_alone(seed):
    """
    Nothing else goes wrong while somebody has to take over.
    """
    for faults in make(seed):
        kinds = {f.kind for f in faults}
        assert not kinds & TAKEN_OVER or 1 == len(faults)


@given(SEEDS)
def test_times(seed):
    """
    Each begins in time, lasts as long as it should, and they are in order.
    """
    outages = (600, 20, 20)
    for outage, faults in zip(outages, make(seed, outages), strict=True):
        assert all(0 <= f.start <= outage / 5 for f in faults)
        assert all(outage == pytest.approx(f.end - f.start) for f in faults)
        starts = [f.start for f in faults]
        assert sorted(starts) == starts


@given(SEEDS)
def test_longer(seed):
    """
    The same goes wrong with the same nodes, however long it lasts.
    """

    def what(schedule):
        return [[(f.kind, f.node) for f in faults] for faults in schedule]

    assert what(make(seed, (20, 20, 20))) == what(make(seed, (600, 20, 20)))


def test_everything_happens():
    """
    Each kind comes up in a hundred rounds.
    """
    faults = itertools.chain.from_iterable(make(1, (20,) * 100))
    assert set(Kind) == {f.kind for f in faults}


def test_everything_happens_for_long():
    """
    Each kind comes up in the first round, which may be a long one, of the
    seeds of a long run.
    """
    first = (make(seed)[0] for seed in range(20))
    assert set(Kind) == {f.kind for faults in first for f in faults}
