"""
A PostgreSQL whose disk is full, or whose pages are damaged, under nodes that
go on.
"""

import random

import psycopg
import pytest

from tests.needs import needs_root
from tests.nodes.node import (
    AWAY,
    TCB,
    await_so,
    follow,
    is_same,
    learn,
    node,
)
from tests.postgresql import needs_postgresql, new_folder, own_server
from tests.services.made import INTEL, NOW
from tests.tmpfs import full, mounted
from thim.errors import UnwritableError
from thim.store.ledger import Ledger
from thim.store.postgresql import engine_at


pytestmark = needs_postgresql
NEW = "00906ED50000"


@pytest.fixture(scope="module")
def server():
    """
    A server that may be stopped.
    """
    with own_server() as running:
        yield running


def ready(served):
    """
    Return whether a node is ready, and what it says of itself.
    """
    got = served.get("/health/ready")
    return got.status, {text.split(":")[0] for text in got.json["reasons"]}


def served_statuses(served, fmspcs):
    """
    Return how a node answers who asks for the documents of all *fmspcs*.
    """
    paths = [TCB.replace("00606A000000", fmspc) for fmspc in fmspcs]
    return {served.get(path).status for path in paths}


def write_until_refused(store):
    """
    Have something large kept until it is refused; return why.  What the disk
    was filled beside, as a node's look for room, may have gone since.
    """
    with Ledger(store, INTEL.anchors) as ledger:
        for number in range(500):
            try:
                ledger.quarantine(
                    random.Random(number).randbytes(60_000),
                    source="test",
                    reason="malformed",
                    detail="junk",
                    now=NOW,
                )
            except UnwritableError as e:
                return e
    return None


@needs_root
class TestFull:
    @pytest.fixture
    def disk(self):
        """
        A small disk that the server's user may write to.
        """
        folder = new_folder()
        with mounted(folder / "disk", mebibytes=192) as mount:
            yield mount
        (folder / "disk").rmdir()
        folder.rmdir()

    @pytest.fixture
    def server(self, disk):
        """
        A server on it.
        """
        with own_server(folder=disk / "server") as running:
            yield running

    def test_full(self, disk, store, address):
        """
        Where the server's disk is full but for its log, writes are refused and
        say why, what is there is served, and not marked: nothing is newer.
        Nothing that was kept is lost, and when there is room again all goes on
        by itself.
        """
        leave_room_for_its_log(address)
        with node(store, address) as served:
            await_so(lambda: AWAY not in served.get(TCB))
            with full(disk):
                refused = write_until_refused(store)
                await_so(lambda: "ledger-full" in ready(served)[1])
                await_so(lambda: AWAY not in served.get(TCB))
                status, _ = ready(served)
                got = served.get(TCB)
            learn(store, NEW)
            await_so(lambda: "ledger-full" not in ready(served)[1])
            statuses = served_statuses(served, ["00606A000000", NEW])

        assert "ledger-full" == refused.reason
        assert "No space left on device" in str(refused)
        assert (200, 200) == (status, got.status)
        assert {200} == statuses
        assert is_same(store, address)

    def test_no_room_for_its_log(self, disk, store, address, server):
        """
        Where the server ends for want of room for its own log, nodes go on as
        where it is away; nothing that was kept is lost, and once there is room
        and it was started again, all goes on.
        """
        with node(store, address) as served:
            with full(disk):
                await_so(lambda: has_ended(server, address))
                await_so(lambda: AWAY in served.get(TCB))
                refused = write_until_refused(store)
                got = served.get(TCB)
            server.start()
            await_so(lambda: AWAY not in served.get(TCB))
            learn(store, NEW)
            statuses = served_statuses(served, ["00606A000000", NEW])

        assert "ledger-away" == refused.reason
        assert (200, "away") == (got.status, got[AWAY])
        assert {200} == statuses
        assert is_same(store, address)


def leave_room_for_its_log(address):
    """
    Have a file ready for the server's log, as one has that runs for a while:
    in want of room for its log it ends, which another test is about.
    """
    with psycopg.connect(address, autocommit=True) as db:
        for _ in range(3):
            db.execute("SELECT pg_switch_wal()")
            db.execute("CHECKPOINT")
        ready = db.execute(
            "SELECT name FROM pg_ls_waldir()"
            " WHERE name > pg_walfile_name(pg_current_wal_lsn())"
        ).fetchall()
    assert ready


def has_ended(server, address):
    """
    Have the server begin another file of its log; tell whether it has ended.
    """
    try:
        with psycopg.connect(address, autocommit=True) as db:
            db.execute("SELECT pg_switch_wal()")
            db.execute("UPDATE settings SET value = value")
    except psycopg.OperationalError:
        return server.has_ended()
    return False


class TestDamaged:
    def test_what_all_agree_on(self, store, address, server):
        """
        Damage where it says which documents are current is found out by a
        node that starts, and it says so; it serves all that its replica has.
        """
        damage(server, address, "records")
        with node(store, address) as served:
            await_so(lambda: "ledger-damaged" in ready(served)[1])
            await_so(lambda: AWAY not in served.get(TCB))
            got = served.get(TCB)
            status, said = ready(served)
            with pytest.raises(UnwritableError) as caught:
                learn(store, NEW)

        assert (200, 200) == (status, got.status)
        assert "ledger-away" not in said
        assert "ledger-damaged" == caught.value.reason
        assert "thim db verify" in str(caught.value)

    def test_elsewhere(self, store, address, server):
        """
        What nobody reads is found out by whoever reads it; from then on all
        nodes say it, go on to follow, and take in what needs none of it.
        """
        with psycopg.connect(address) as db:
            db.execute("INSERT INTO counters VALUES ('a', '', 1, 0)")
        follow(store, address)
        damage(server, address, "counters")
        with node(store, address) as served:
            await_so(lambda: AWAY not in served.get(TCB))
            learn(store, NEW)
            found = served_statuses(served, [NEW])
            with psycopg.connect(address) as db, pytest.raises(psycopg.Error):
                db.execute("SELECT * FROM counters")
            await_so(lambda: "ledger-damaged" in ready(served)[1])
            await_so(lambda: AWAY not in served.get(TCB))
            got = served.get(TCB)

        assert {200} == found
        assert 200 == got.status

    def test_feed(self, store, address, server):
        """
        Damage where changes are told of keeps a node from following: what it
        serves is marked as what may be behind, and not as if the server were
        away.
        """
        damage(server, address, "changes")
        with node(store, address) as served:
            await_so(lambda: "ledger-damaged" in ready(served)[1])
            await_so(lambda: ["behind"] == served.get(TCB).all(AWAY))
            got = served.get(TCB)
            _, said = ready(served)

        assert (200, "behind") == (got.status, got[AWAY])
        assert "ledger-away" not in said


def damage(server, address, table):
    """
    Damage a *table*, under nobody.
    """
    engine_at(address).dispose()
    server.damage(address, table)
