"""
Standbys of PostgreSQL: one takes over, and the old one goes on.
"""

import contextlib
import sqlite3

import psycopg
import pytest

from tests.nodes.node import AWAY, TCB, await_so, is_same, learn, node
from tests.postgresql import needs_postgresql, own_server
from thim.errors import UnwritableError
from thim.store.founding import provide_replica, readdress
from thim.store.postgresql import engine_at


pytestmark = needs_postgresql
OTHER = TCB.replace("00606A000000", "00906ED50000")


@pytest.fixture
def primary():
    """
    A primary of its own for each test.
    """
    with own_server() as running:
        yield running


@pytest.fixture
def server(primary):
    """
    Where the ledger is made.
    """
    return primary


@pytest.fixture
def standby(primary, store):
    """
    A standby that has all of this.
    """
    with own_server(primary) as running:
        yield running


def at(server, address):
    """
    Where the same database is at another server.
    """
    return server.address(address.rpartition("/")[2])


def both(primary, standby, address):
    """
    The address that names both servers.
    """
    name = address.rpartition("/")[2]
    hosts = f"{primary.host}:{primary.port},{standby.host}:{standby.port}"
    return f"postgresql://thim@{hosts}/{name}"


def timeline(store):
    """
    Which timeline a replica has followed.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT timeline FROM replication").fetchone()[0]


def has_caught_up(primary, standby, address):
    """
    Tell whether a standby has all that the primary has.
    """
    query = "SELECT max(position) FROM changes"
    with (
        psycopg.connect(address) as one,
        psycopg.connect(at(standby, address)) as other,
    ):
        newest = one.execute(query).fetchone()
        return newest == other.execute(query).fetchone()


def test_read_only(primary, address, store, standby):
    """
    A standby is no ledger to write to.
    """
    readdress(store, at(standby, address))
    with pytest.raises(UnwritableError, match="read-only") as caught:
        learn(store, "00906ED50000")

    assert "ledger-away" == caught.value.reason
    engine_at(at(standby, address)).dispose()


def test_two_primaries(primary, address, store, standby):
    """
    Whoever has followed a standby that took over refuses the old primary,
    which goes on: nothing of it is read or written any more.
    """
    await_so(lambda: has_caught_up(primary, standby, address))
    standby.promote()
    provide_replica(store, at(standby, address))
    learn(store, "00906ED50000")
    assert 2 == timeline(store)
    engine_at(at(standby, address)).dispose()

    with pytest.raises(UnwritableError, match="taken") as caught:
        provide_replica(store, address)
    assert "ledger-superseded" == caught.value.reason
    readdress(store, address)
    with pytest.raises(UnwritableError, match="timeline 1"):
        learn(store, "00A067110000")
    with psycopg.connect(address) as db:
        assert (1,) == db.execute("SELECT count(*) FROM records").fetchone()


def test_moves_on(primary, address, store, standby):
    """
    A node that knows both goes over to the one that took over by itself, and
    copies it anew: what the old one had not told it is gone.
    """
    listed = both(primary, standby, address)
    await_so(lambda: has_caught_up(primary, standby, address))
    provide_replica(store, listed)
    with node(store, listed) as served:
        await_so(lambda: AWAY not in served.get(TCB))
        primary.stop(at_once=True)
        standby.promote()
        await_so(lambda: 2 == timeline(store))
        await_so(lambda: AWAY not in served.get(TCB))
        learn(store, "00906ED50000")
        await_so(lambda: 200 == served.get(OTHER).status)
        assert 200 == served.get(TCB).status
    assert is_same(store, listed)
    engine_at(listed).dispose()
