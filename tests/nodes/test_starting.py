"""
Nodes that start without their ledger, or with another one.
"""

import contextlib
import functools
import os
import sqlite3
import subprocess
import sys

import psycopg
import pytest

from tests.nodes.node import AWAY, TCB, await_so, is_same, learn, node
from tests.postgresql import needs_postgresql, own_server
from tests.services.made import INTEL
from thim.errors import OperatorError, UnavailableError, UnwritableError
from thim.store.founding import make_ledger, provide_replica
from thim.store.postgresql import engine_at


pytestmark = needs_postgresql


@pytest.fixture(scope="module")
def server():
    """
    A server that may be stopped.
    """
    with own_server() as running:
        yield running


@contextlib.contextmanager
def stopped(server, address):
    """
    Stop the server until the end of the ``with``.
    """
    engine_at(address).dispose()
    server.stop(at_once=True)
    try:
        yield
    finally:
        server.start(fsync="off")


def place(store):
    """
    What a replica follows, and where it is.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT * FROM replication").fetchone()


class TestAway:
    def test_serves_what_it_has(self, server, address, store):
        """
        A node that starts while PostgreSQL is away serves what its replica
        has, and says so; as soon as it is back, it no longer does.
        """
        with stopped(server, address):
            provide_replica(store, address)
            with node(store, address) as served:
                await_so(lambda: AWAY in served.get(TCB))
                got = served.get(TCB)
                server.start(fsync="off")
                await_so(lambda: AWAY not in served.get(TCB))
            server.stop(at_once=True)

        assert (200, "away") == (got.status, got[AWAY])

    def test_without_a_replica(self, server, address, tmp_path):
        """
        One that has no replica yet says why it cannot start.
        """
        with (
            stopped(server, address),
            pytest.raises(UnwritableError, match="cannot be reached") as caught,
        ):
            provide_replica(tmp_path / "new.db", address)

        assert "ledger-away" == caught.value.reason
        assert [] == list(tmp_path.glob("*new.db*"))

    def test_writes(self, server, address, store):
        """
        Nothing is taken in meanwhile, and the error says why.
        """
        with (
            stopped(server, address),
            pytest.raises(UnwritableError) as caught,
        ):
            learn(store, "00906ED50000")

        assert "ledger-away" == caught.value.reason

    def test_restart(self, server, address, store):
        """
        A node under which PostgreSQL is restarted goes on by itself.
        """
        with node(store, address) as served:
            with stopped(server, address):
                assert 200 == served.get(TCB).status
            other = TCB.replace("00606A000000", "00906ED50000")
            assert 404 == served.get(other).status
            await_so(lambda: can_learn(store, "00906ED50000"))
            await_so(lambda: 200 == served.get(other).status)
            await_so(lambda: AWAY not in served.get(other))


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (("thim@", "secret@"), "no password supplied"),
            (("/thim_", "/none_"), "does not exist"),
            (("?", "?sslmode=require&"), "does not support SSL"),
            (("thim@", "nobody@"), 'role "nobody" does not exist'),
        ],
    )
    def test_connection(self, server, address, tmp_path, change, expected):
        """
        A wrong password, database, TLS setting or user is an error that says
        what is wrong.
        """
        with psycopg.connect(address, autocommit=True) as db:
            db.execute("DROP ROLE IF EXISTS secret")
            db.execute("CREATE ROLE secret LOGIN PASSWORD 's3cret'")
            hba = server.data / "pg_hba.conf"
            line = "host all secret 127.0.0.1/32 scram-sha-256\n"
            if line not in hba.read_text():
                hba.write_text(line + hba.read_text())
            db.execute("SELECT pg_reload_conf()")
        wrong = f"{address}?connect_timeout=3".replace(change[0], change[1], 1)
        with pytest.raises(UnwritableError, match=expected):
            provide_replica(tmp_path / "new.db", wrong)

    def test_with_a_replica(self, address, store):
        """
        A node whose ledger does not let it in serves what its replica has, and
        says that it is refused, and not that the ledger is away; once it is let
        in it follows.
        """
        refused = address.replace("thim@", "stranger@")
        provide_replica(store, refused)
        with node(store, refused) as served:
            await_so(lambda: AWAY in served.get(TCB))
            await_so(lambda: reasons(served) == ["ledger-refused"])
            got, told = served.get(TCB), served.get("/health/ready").body
            with pytest.raises(UnwritableError) as caught:
                learn(store, "00906ED50000")
            with psycopg.connect(address) as db:
                db.execute("CREATE ROLE stranger LOGIN SUPERUSER")
            await_so(lambda: AWAY not in served.get(TCB))
            await_so(lambda: reasons(served) == [])
        engine_at(refused).dispose()

        assert (200, "away") == (got.status, got[AWAY])
        assert b"refuses this node: role" in told
        assert "ledger-refused" == caught.value.reason

    def test_no_ledger(self, server, tmp_path):
        """
        So is an empty database.
        """
        empty = server.new_database()
        with pytest.raises((UnwritableError, OperatorError)):
            provide_replica(tmp_path / "new.db", empty)
        assert [] == list(tmp_path.glob("*new.db*"))

    def test_foreign(self, server, address, store):
        """
        A database with another ledger is refused, and nothing is changed.
        """
        other = server.new_database()
        make_ledger(other, INTEL.anchors)
        before = place(store)
        with pytest.raises(UnwritableError, match="another one's") as caught:
            provide_replica(store, other)

        assert "ledger-foreign" == caught.value.reason
        assert before == place(store)

    def test_foreign_later(self, server, address, store):
        """
        So is one that takes the place of the ledger while a node runs: the
        node goes on to serve what it has, and writes nothing there.
        """
        other = server.new_database()
        make_ledger(other, INTEL.anchors)
        names = address.rpartition("/")[2], other.rpartition("/")[2]
        with node(store, address) as served:
            await_so(lambda: AWAY not in served.get(TCB))
            exchange(server, *names)
            # Whoever has met the names between two is told so for a moment.
            await_so(lambda: refusal(store) == "ledger-foreign")
            await_so(lambda: AWAY in served.get(TCB))
            assert 200 == served.get(TCB).status
        with psycopg.connect(address) as db:
            rows = db.execute("SELECT count(*) FROM records").fetchone()

        assert (0,) == rows

    def test_behind(self, server, address, store):
        """
        So is the ledger as it was before: somebody has restored an old dump.
        """
        engine_at(address).dispose()
        name = address.rpartition("/")[2]
        old = server.new_database(template=name)
        learn(store, "00906ED50000")
        before = place(store)
        exchange(server, name, old.rpartition("/")[2])
        with pytest.raises(UnwritableError, match="lost something") as caught:
            provide_replica(store, address)
        with pytest.raises(UnwritableError):
            learn(store, "00A067110000")

        assert "ledger-behind" == caught.value.reason
        assert before == place(store)

    def test_own_ledger(self, address, tmp_path):
        """
        A store that is a ledger of its own becomes no replica.
        """
        from tests.new_store import _made  # noqa: PLC0415

        path = tmp_path / "own.db"
        path.write_bytes(_made(INTEL.anchors))
        with pytest.raises(OperatorError, match="a ledger of its own"):
            provide_replica(path, address)


def refusal(store):
    """
    Why nothing can be taken in.
    """
    with pytest.raises(UnwritableError) as caught:
        learn(store, "00906ED50000")
    return caught.value.reason


def reasons(served):
    """
    What readiness says of a node and its ledger.
    """
    told = served.get("/health/ready").json["reasons"]
    names = [reason.partition(":")[0] for reason in told]
    return [name for name in names if name.startswith("ledger-")]


def exchange(server, one, other):
    """
    Have two databases take each other's name.
    """
    with psycopg.connect(
        server.socket_address("postgres"), autocommit=True
    ) as db:
        end = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname IN (%s, %s)"
        )
        for old, new in ((one, "aside"), (other, one), ("aside", other)):
            await_so(functools.partial(_rename, db, end, old, new))


def _rename(db, end, old, new):
    db.execute(end, (old, new))
    try:
        db.execute(f"ALTER DATABASE {old} RENAME TO {new}")
    except psycopg.errors.ObjectInUse:
        return False
    return True


class TestDamaged:
    @staticmethod
    def garble_header(path):
        """Overwrite the first bytes."""
        with path.open("r+b") as file:
            file.write(b"\xff" * 100)

    @staticmethod
    def garble_pages(path):
        """Overwrite pages in the middle."""
        with path.open("r+b") as file:
            for page in range(5, 60):
                file.seek(page * 4096)
                file.write(b"\xff" * 2000)

    @staticmethod
    def truncate(path):
        """Cut the file off."""
        os.truncate(path, 8192)

    @staticmethod
    def empty(path):
        """Leave nothing in it."""
        os.truncate(path, 0)

    @staticmethod
    def delete(path):
        """Delete the file."""
        path.unlink()

    DAMAGES = ("garble_header", "garble_pages", "truncate", "empty", "delete")

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_at_start(self, address, store, damage):
        """
        A replica that is damaged is made anew when the node starts.
        """
        engine_at(address).dispose()
        for suffix in ("-wal", "-shm"):
            assert not os.path.lexists(f"{store}{suffix}")
        getattr(self, damage)(store)
        provide_replica(store, address)

        with node(store, address) as served:
            assert 200 == served.get(TCB).status
        assert is_same(store, address)

    @pytest.mark.parametrize(
        "damage", [damage for damage in DAMAGES if damage != "empty"]
    )
    def test_while_it_runs(self, address, store, damage):
        """
        The same while it runs: soon everything is answered again, and nothing
        is lost.
        """
        other = TCB.replace("00606A000000", "00906ED50000")
        with node(store, address) as served:
            await_so(lambda: AWAY not in served.get(TCB))
            getattr(self, damage)(store)
            with psycopg.connect(address) as db:
                db.execute("UPDATE settings SET value = value")
            # Nothing is taken in until it is whole again.
            await_so(lambda: can_learn(store, "00906ED50000"))
            await_so(lambda: is_well(served, other))
            await_so(lambda: is_well(served, TCB))
        assert is_same(store, address)


def can_learn(store, fmspc):
    """
    Tell whether a document can be taken in, and do it.
    """
    try:
        learn(store, fmspc)
    except (OperatorError, UnavailableError):
        return False
    return True


def is_well(served, path):
    """
    Tell whether it answers, from a ledger that is there.
    """
    got = served.get(path)
    return 200 == got.status and AWAY not in got


class TestProgram:
    def test_exit(self, server, address, tmp_path):
        """
        `thim serve` without a replica and without PostgreSQL ends with one
        line that says why.
        """
        config = tmp_path / "thim.toml"
        config.write_text(
            f'store = "{tmp_path}/new.db"\nledger = "{address}"\n'
            f'fill = "offline"\nlisten = "127.0.0.1:0"\n'
        )
        with stopped(server, address):
            done = subprocess.run(
                [sys.executable, "-m", "thim", "serve", "--config", config],
                capture_output=True,
                check=False,
                text=True,
                timeout=60,
            )

        assert 2 == done.returncode
        assert 1 == done.stderr.count("\n")
        assert "the ledger cannot be reached" in done.stderr
