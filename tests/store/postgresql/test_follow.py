"""
A replica is what its ledger is.
"""

import contextlib
import sqlite3

import pytest

from sqlalchemy import Integer, LargeBinary, delete, insert, select, text

from tests.new_store import remember
from tests.store.made import ANCHORS, day
from thim.errors import OperatorError, UnwritableError
from thim.store import schema
from thim.store.feed import followed_tables
from thim.store.follow import Follower, News, check_places, find_place
from thim.store.ledger import Ledger
from thim.store.postgresql import WRITER, engine_at, writing_engine
from thim.store.replica_file import Place, read_place


HERE = Place(identity="a", epoch="b", timeline=2, position=10)


def at(**news):
    """
    A place that differs from the usual one.
    """
    return Place(
        **{
            "identity": "a",
            "epoch": "b",
            "timeline": 2,
            "position": 10,
            **news,
        }
    )


@pytest.fixture
def follower(store, address):
    """
    What brings the replica up to date.
    """
    with Follower(store, address) as opened:
        yield opened


@contextlib.contextmanager
def writing(follower, address):
    """
    Write to the ledger as its one writer; what is news stands in the list when
    it has committed.
    """
    told: list[News | None] = []
    with writing_engine(address).begin() as connection:
        checked = follower.check(connection)
        yield connection, told
        told.append(follower.read_news(connection, checked))


def count(connection, name):
    """
    Write a row.
    """
    connection.execute(
        insert(schema.counters).values(name=name, label="", count=1, last=0)
    )


def dump(db, table):
    """
    All rows of a *table* of the file *db*.
    """
    names = ", ".join(column.name for column in table.columns)
    return sorted(
        db.execute(f"SELECT {names} FROM {table.name}"),  # noqa: S608
        key=repr,
    )


def is_same(store, address):
    """
    Tell whether the file *store* has the rows of the ledger at *address*.
    """
    with (
        contextlib.closing(sqlite3.connect(store)) as db,
        engine_at(address).connect() as ledger,
    ):
        for table in followed_tables():
            rows = [tuple(row) for row in ledger.execute(select(table))]
            if dump(db, table) != sorted(rows, key=repr):
                return False
    return True


class TestCheckPlaces:
    def test_same(self):
        """
        Where nothing has changed, nothing is to be done.
        """
        assert 10 == check_places(HERE, at(), 0)

    def test_behind(self):
        """
        What has changed since is read from the feed, if all of it is there.
        """
        assert 10 == check_places(HERE, at(position=12), 10)
        assert check_places(HERE, at(position=12), 11) is None

    def test_far_behind(self):
        """
        More than two million changes are not read one by one.
        """
        assert 10 == check_places(HERE, at(position=2_000_010), 0)
        assert check_places(HERE, at(position=2_000_011), 0) is None

    def test_restored(self):
        """
        A ledger that was restored is copied anew, wherever its feed is.
        """
        assert check_places(HERE, at(epoch="c", position=1), 0) is None
        assert check_places(HERE, at(epoch="c", timeline=1), 0) is None

    def test_standby_took_over(self):
        """
        So is one that a standby has taken over: it may have lost something.
        """
        assert check_places(HERE, at(timeline=3), 0) is None
        assert check_places(HERE, at(timeline=3, position=9), 0) is None

    @pytest.mark.parametrize(
        ("theirs", "reason"),
        [
            (at(identity="x"), "ledger-foreign"),
            (at(timeline=1), "ledger-superseded"),
            (at(timeline=1, position=99), "ledger-superseded"),
            (at(position=9), "ledger-behind"),
        ],
    )
    def test_refused(self, theirs, reason):
        """
        Another ledger, an earlier primary and one that has gone back are
        refused, each by its name.
        """
        with pytest.raises(UnwritableError) as caught:
            check_places(HERE, theirs, 0)

        assert reason == caught.value.reason


class TestWriteThrough:
    def test_own_writes(self, ledger, store, address):
        """
        What a ledger has kept is in its replica when the call returns.
        """
        ledger.count("a", "b", day(0))
        ledger.events.add("x", "y", actor="me", now=day(0))

        assert is_same(store, address)

    def test_changed_and_deleted(self, ledger, psql, follower, store, address):
        """
        Rows that others change or delete do so in the replica.
        """
        ledger.count("a", "b", day(0))
        ledger.count("c", "d", day(0))
        psql.execute("UPDATE counters SET name = 'e' WHERE name = 'a'")
        psql.execute("DELETE FROM counters WHERE name = 'c'")
        follower.catch_up()

        assert is_same(store, address)

    def test_reads_are_no_changes(self, ledger, replica):
        """
        Reading from the ledger makes no new generation of the replica.
        """
        before = replica.generation()
        ledger.certificates()

        assert before == replica.generation()

    def test_nothing_new(self, follower, replica):
        """
        Nor does catching up when there is nothing.
        """
        position = follower.catch_up()
        before = replica.generation()

        assert position == follower.catch_up()
        assert before == replica.generation()

    def test_nested(self, ledger, store, address):
        """
        Of several steps that are kept together the replica has all or none.
        """
        with ledger.all_or_none():
            ledger.count("a", "b", day(0))
            with contextlib.closing(sqlite3.connect(store)) as db:
                assert [] == dump(db, schema.counters)
            ledger.count("a", "b", day(0))

        assert is_same(store, address)

    def test_taken_back(self, ledger, store, address):
        """
        What is taken back was never there.
        """
        with contextlib.suppress(ValueError), ledger.all_or_none():
            ledger.count("a", "b", day(0))
            raise ValueError

        assert is_same(store, address)
        with contextlib.closing(sqlite3.connect(store)) as db:
            assert [] == dump(db, schema.counters)


class TestNews:
    def test_none(self, follower, address):
        """
        Of a transaction that has changed nothing there is no news, whatever
        others had changed before.
        """
        with writing(follower, address) as (connection, _):
            count(connection, "a")
        with writing(follower, address) as (_, told):
            pass

        assert [None] == told

    def test_own_tables(self, follower, address):
        """
        Nor of one that has changed only what no replica has.
        """
        with writing(follower, address) as (connection, told):
            connection.execute(
                text("INSERT INTO nodes VALUES ('n', 'v', 1, 1, 1, '')")
            )

        assert [None] == told

    def test_out_of_order(self, follower, store, address):
        """
        Whoever committed first and comes last changes nothing any more.
        """
        with writing(follower, address) as (connection, first):
            count(connection, "a")
        with writing(follower, address) as (connection, second):
            connection.execute(delete(schema.counters))
        follower.take_in(*second)
        follower.take_in(*first)

        assert is_same(store, address)

    def test_lags(self, follower, psql, store, address):
        """
        What the replica had lacked before comes with it.
        """
        psql.execute("INSERT INTO counters VALUES ('a', '', 1, 0)")
        with writing(follower, address) as (connection, told):
            count(connection, "b")
        follower.take_in(*told)

        assert [2] == [len(changed.rows) for changed in told[0].rows]
        assert is_same(store, address)

    def test_many(self, follower, store, address):
        """
        What is more than a few is read when nobody waits for it any more.
        """
        rows = [
            {"name": str(n), "label": "", "count": 1, "last": 0}
            for n in range(1000)
        ]
        with writing(follower, address) as (connection, told):
            connection.execute(insert(schema.counters), rows)
        follower.take_in(*told)

        assert told[0].rows is None
        assert is_same(store, address)

    @pytest.mark.parametrize("change", ["epoch = 'x'", "position = 0"])
    def test_another_replica(self, follower, store, address, change):
        """
        A replica that was set back or made anew meanwhile lacks nothing.
        """
        with writing(follower, address) as (connection, _):
            count(connection, "a")
        follower.catch_up()
        with writing(follower, address) as (connection, told):
            count(connection, "b")
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute("DELETE FROM counters")
            db.execute(f"UPDATE replication SET {change}")  # noqa: S608
        follower.take_in(*told)

        assert is_same(store, address)


def test_every_table(psql, follower, store, address):
    """
    A change of any table is followed, whatever its key is made of.
    """
    for table in followed_tables():
        names, values = [], []
        for column in table.columns:
            names.append(column.name)
            if column.foreign_keys or isinstance(column.type, Integer):
                values.append("7")
            elif isinstance(column.type, LargeBinary):
                values.append(r"'\x00ff'")
            else:
                values.append("'é\"'")
        psql.execute(
            f"INSERT INTO {table.name} ({', '.join(names)}) "  # noqa: S608
            f"VALUES ({', '.join(values)}) ON CONFLICT DO NOTHING"
        )
    follower.catch_up()

    assert is_same(store, address)


def test_names_change_places(ledger, psql, follower, store, address):
    """
    Two rows may swap what is unique to each.
    """
    for number, name in ((1, "a"), (2, "b")):
        psql.execute(
            "INSERT INTO platforms (id, qe_id, pce_id, raw_tcbs, "
            "registered_by, voucher, registered, name) "
            "VALUES (%s, %s, '\\x0000', '', 'me', 1, 1, %s)",
            (number, bytes([number]), name),
        )
    follower.catch_up()
    psql.execute("UPDATE platforms SET name = 'c' WHERE id = 1")
    psql.execute("UPDATE platforms SET name = 'a' WHERE id = 2")
    psql.execute("UPDATE platforms SET name = 'b' WHERE id = 1")
    follower.catch_up()

    assert is_same(store, address)


def test_nul(ledger, store, address):
    """
    A text with NUL in it, of which PostgreSQL has none, is kept without.
    """
    ledger.count("a\0b", "", day(0))

    assert is_same(store, address)
    with contextlib.closing(sqlite3.connect(store)) as db:
        ((name, *_),) = dump(db, schema.counters)
    assert "a\N{REPLACEMENT CHARACTER}b" == name


def test_order_of_bytes(ledger, psql):
    """
    Texts are in the order of their bytes, as in SQLite.
    """
    for name in ("b", "B", "-a", "é", "a"):
        ledger.count(name, "", day(0))
    found = psql.execute("SELECT name FROM counters ORDER BY name").fetchall()

    assert ["-a", "B", "a", "b", "é"] == [name for (name,) in found]


class TestGoneWrong:
    def test_differs(self, ledger, follower, store, address):
        """
        A replica whose heads are others than the ledger's is copied anew.
        """
        ledger.count("a", "b", day(0))
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute("INSERT INTO series VALUES (9, 'x', 'y', 'z', 1, NULL)")
            db.execute("INSERT INTO issuer_chains VALUES (9, x'00', x'00', 0)")
            db.execute(
                "INSERT INTO records VALUES "
                "(9, 9, 1, 1, x'00', x'00', x'00', 9, 's', 1, 1)"
            )
            db.execute("INSERT INTO heads VALUES (9, 9)")

        assert not follower.is_same()
        follower.catch_up()
        assert follower.is_same()
        assert is_same(store, address)

    def test_trimmed(self, ledger, psql, follower, store, address):
        """
        One that is further behind than the feed goes is copied anew.
        """
        psql.execute("INSERT INTO counters VALUES ('a', 'b', 1, 1)")
        psql.execute("DELETE FROM changes")
        psql.execute(
            "UPDATE settings SET value = '9999' WHERE name = 'feed-begins'"
        )
        psql.execute("SELECT setval('changes_position_seq', 10000)")
        follower.catch_up()

        assert is_same(store, address)

    def test_another_ledger(self, store, ledger, psql):
        """
        Nothing is written to another ledger than was followed, nor read.
        """
        psql.execute("UPDATE settings SET value = 'x' WHERE name = 'ledger'")
        with pytest.raises(UnwritableError, match="another one's"):
            ledger.count("a", "b", day(0))

        rows = psql.execute("SELECT * FROM counters").fetchall()
        assert [] == rows

    def test_earlier_schema(self, ledger, psql):
        """
        Nor to a ledger of an earlier schema.
        """
        psql.execute("UPDATE alembic_version SET version_num = '0001'")
        with pytest.raises(OperatorError, match="thim db migrate"):
            ledger.count("a", "b", day(0))

    def test_later_schema(self, ledger, psql, follower, store, address):
        """
        A ledger that was migrated by a later release is followed and written
        by who runs, as far as this release knows it.
        """
        psql.execute("UPDATE alembic_version SET version_num = '0999'")
        psql.execute("ALTER TABLE counters ADD COLUMN later text")
        psql.execute("INSERT INTO changes (name, key, at) VALUES ('x', '', 1)")
        ledger.count("a", "b", day(0))
        follower.catch_up()

        assert is_same(store, address)

    def test_server_is_away(self, store, ledger, replica, address):
        """
        Where the server is away, writing says so and reading goes on.
        """
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            nowhere = "postgresql://thim@127.0.0.1:1/nowhere"
            db.execute("UPDATE replication SET address = ?", (nowhere,))
        with (
            Ledger(store, ANCHORS) as cut_off,
            pytest.raises(UnwritableError) as caught,
        ):
            cut_off.count("a", "b", day(0))

        assert "ledger-away" == caught.value.reason
        assert (0, 0) == replica.count_heads(day(0))


def test_somebody_else_writes(store, address, psql):
    """
    Who waits too long for another's transaction is told so, and not that the
    server is away.
    """
    hasty = remember(f"{address}?options=-c%20lock_timeout%3D50ms")
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE replication SET address = ?", (hasty,))
    psql.execute(f"SELECT pg_advisory_lock({WRITER})")
    with (
        Ledger(store, ANCHORS) as waiting,
        pytest.raises(UnwritableError, match="lock timeout") as caught,
    ):
        waiting.count("a", "b", day(0))

    assert "store-write" == caught.value.reason


def test_place(store, address):
    """
    A replica knows which ledger it follows, and how far it is.
    """
    with (
        contextlib.closing(sqlite3.connect(store)) as db,
        engine_at(address).connect() as ledger,
    ):
        ours, found = read_place(db), find_place(ledger)
        theirs = found.place
        identity = ledger.scalar(
            text("SELECT value FROM settings WHERE name = 'ledger'")
        )

    assert ours == theirs
    assert identity == theirs.identity
    assert 0 == found.begins
