"""
A ledger goes from a file into a server, and back.
"""

import contextlib
import sqlite3

import psycopg
import pytest

from tests.new_store import new_store, remember
from tests.postgresql import shared_server
from tests.store.made import ANCHORS, day
from tests.store.postgresql.test_follow import dump, is_same
from thim.errors import OperatorError, UnwritableError
from thim.store import founding
from thim.store.feed import followed_tables
from thim.store.file import REVISION
from thim.store.ledger import Ledger
from thim.store.migrate_ledger import back_up_ledger, migrate_ledger
from thim.store.postgresql import engine_at


OWN = ("ledger", "epoch", "feed-begins")


@pytest.fixture
def empty():
    """
    The address of an empty database.
    """
    return remember(shared_server().new_database())


@pytest.fixture
def file(tmp_path):
    """
    A ledger in a file, with something in it.
    """
    path = tmp_path / "file.db"
    new_store(path, ANCHORS)
    with Ledger(path, ANCHORS) as ledger:
        for name in ("a", "b", "c"):
            ledger.count(name, "", day(0))
            ledger.events.add(name, "x", actor="me", now=day(0))
    return path


def contents(path):
    """
    What is in the file *path*, but for what is each ledger's own.
    """
    with contextlib.closing(sqlite3.connect(path)) as db:
        found = {table.name: dump(db, table) for table in followed_tables()}
    found["settings"] = [row for row in found["settings"] if row[0] not in OWN]
    return found


class TestMoveStore:
    def test_there_and_back(self, file, empty, tmp_path):
        """
        Every row comes along, and comes back.
        """
        before = contents(file)
        kept = founding.move_store(file, empty, ANCHORS, day(1))

        assert before == contents(file) == contents(kept)
        assert is_same(file, empty)
        founding.move_out(file, tmp_path / "back.db")
        assert before == contents(tmp_path / "back.db")
        with Ledger(tmp_path / "back.db", ANCHORS) as back:
            back.count("d", "", day(2))
        assert before == contents(file)

    def test_goes_on(self, file, empty):
        """
        Rows that come afterwards are numbered behind those that came along.
        """
        founding.move_store(file, empty, ANCHORS, day(1))
        with Ledger(file, ANCHORS) as ledger:
            ledger.events.add("d", "x", actor="me", now=day(1))

        ids = [row[0] for row in contents(file)["events"]]
        assert [1, 2, 3, 4] == ids
        assert is_same(file, empty)

    def test_only_into_an_empty_one(self, file, address):
        """
        A database with a ledger in it is left as it is, and so is the file.
        """
        before = contents(file)
        with pytest.raises(OperatorError, match="has a ledger already"):
            founding.move_store(file, address, ANCHORS, day(1))

        assert before == contents(file)

    def test_not_a_replica(self, store, empty):
        """
        A replica has no ledger to be moved.
        """
        with pytest.raises(OperatorError, match="a replica"):
            founding.move_store(store, empty, ANCHORS, day(1))

    def test_server_is_away(self, file):
        """
        Where the server is away, the file stays the ledger.
        """
        before = contents(file)
        with pytest.raises(UnwritableError):
            founding.move_store(
                file, "postgresql://thim@127.0.0.1:1/x", ANCHORS, day(1)
            )

        assert before == contents(file)


class TestProvide:
    def test_new(self, empty, tmp_path):
        """
        The first node makes the ledger, the others find it.
        """
        assert founding.provide_ledger(empty, ANCHORS)
        assert not founding.provide_ledger(empty, ANCHORS)
        for name in ("a", "b"):
            founding.make_replica(tmp_path / name, empty)
            assert is_same(tmp_path / name, empty)
            assert 0o600 == (tmp_path / name).stat().st_mode & 0o777

    def test_no_ledger(self, empty, tmp_path):
        """
        Of an empty database no replica is made.
        """
        with pytest.raises(OperatorError, match="thim db init"):
            founding.make_replica(tmp_path / "a", empty)

        assert [] == list(tmp_path.iterdir())

    @pytest.mark.parametrize("table", ["settings", "alembic_version"])
    def test_other_program(self, empty, tmp_path, table):
        """
        The database of another program, which may use Alembic too, is not
        taken for a ledger, and none is made there.
        """
        with psycopg.connect(empty, autocommit=True) as db:
            db.execute(f"CREATE TABLE {table} (version_num TEXT)")
            for do in (
                lambda: founding.provide_ledger(empty, ANCHORS),
                lambda: founding.make_replica(tmp_path / "a", empty),
                lambda: migrate_ledger(empty, day(0), tmp_path),
            ):
                with pytest.raises(OperatorError, match=f"program .{table}."):
                    do()
            found = db.execute(
                "SELECT relname FROM pg_stat_user_tables"
            ).fetchall()

        assert [(table,)] == found

    @pytest.mark.parametrize("damage", ["head", "cut", "gone", "middle"])
    def test_damaged(self, store, ledger, address, damage):
        """
        A replica that is damaged, or gone, is made anew.
        """
        ledger.count("a", "b", day(0))
        whole = store.read_bytes()
        for beside in store.parent.glob(f"{store.name}-*"):
            beside.unlink()
        match damage:
            case "head":
                store.write_bytes(b"x" * 100 + whole[100:])
            case "cut":
                store.write_bytes(whole[:5000])
            case "gone":
                store.unlink()
            case "middle":
                half = len(whole) // 2
                store.write_bytes(whole[:4096] + b"x" * half + whole[-9:])
        founding.provide_replica(store, address)

        assert is_same(store, address)

    def test_locked(self, file):
        """
        One that somebody else has locked is not damaged.
        """
        with contextlib.closing(
            sqlite3.connect(file, isolation_level=None)
        ) as db:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("BEGIN EXCLUSIVE")

            assert founding.is_sound(file)

    def test_later_ledger(self, store, address, psql):
        """
        Who starts over a ledger of a later release stops, and names both.
        """
        psql.execute("UPDATE alembic_version SET version_num = '0999'")
        with pytest.raises(OperatorError, match=f"0999.*{REVISION}"):
            founding.provide_replica(store, address)

    def test_earlier_replica(self, store, address):
        """
        A replica of an earlier release is made anew.
        """
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute("UPDATE alembic_version SET version_num = '0007'")
            db.execute("DROP TABLE bundles")
        founding.provide_replica(store, address)

        assert is_same(store, address)

    def test_moved_server(self, store, address):
        """
        A ledger may get another address.
        """
        other = address.replace("127.0.0.1", "localhost")
        remember(other)
        founding.provide_replica(store, other)

        with contextlib.closing(sqlite3.connect(store)) as db:
            found = db.execute("SELECT address FROM replication").fetchone()
        assert (other,) == found

    def test_own_ledger(self, file, address):
        """
        A file that is a ledger itself does not become a replica.
        """
        before = contents(file)
        with pytest.raises(OperatorError, match="ledger of its own"):
            founding.provide_replica(file, address)

        assert before == contents(file)


class TestMigrate:
    def test_newest(self, address, tmp_path):
        """
        A ledger of this release's schema is left alone.
        """
        done = migrate_ledger(address, day(0), tmp_path)

        assert done.backup is None
        assert REVISION == done.before

    def test_newer(self, address, psql, tmp_path):
        """
        One of a later release is refused, naming both.
        """
        psql.execute("UPDATE alembic_version SET version_num = '0999'")
        with pytest.raises(OperatorError, match=f"0999.*{REVISION}"):
            migrate_ledger(address, day(0), tmp_path)

    def test_none(self, empty, tmp_path):
        """
        An empty database is not taken for a ledger.
        """
        with pytest.raises(OperatorError, match="thim db init"):
            migrate_ledger(empty, day(0), tmp_path)

    def test_backup(self, file, empty, tmp_path):
        """
        The backup that is made first is a store with every row.
        """
        founding.move_store(file, empty, ANCHORS, day(1))
        backup = tmp_path / "backup.db"
        with engine_at(empty).connect() as connection:
            back_up_ledger(connection, REVISION, backup)

        assert contents(file) == contents(backup)
