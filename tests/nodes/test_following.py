"""
Replicas follow their ledger, whatever is written there and by whom.
"""

import contextlib
import random
import sqlite3
import threading

import psycopg
import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.new_store import new_replica
from tests.nodes.node import TCB, await_so, follow, learn, node
from tests.postgresql import needs_postgresql
from tests.services.made import INTEL
from thim.errors import UnwritableError
from thim.store.follow import Follower
from thim.store.session import NodeSession


pytestmark = needs_postgresql


@pytest.fixture
def store(tmp_path):
    """
    A replica of a ledger of its own.
    """
    return tmp_path / "thim.db"


@pytest.fixture
def address(store):
    """
    Where that ledger is.
    """
    return new_replica(store, INTEL.anchors)


@pytest.fixture
def psql(address):
    """
    What an operator has at a prompt.
    """
    with psycopg.connect(address, autocommit=True) as db:
        yield db


@pytest.fixture
def follower(store, address):
    """
    What brings the replica up to date.
    """
    with Follower(store, address) as opened:
        yield opened


def rows(store, query):
    """
    Ask a replica.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute(query).fetchall()


def insert(psql, name):
    """
    Write a row.
    """
    psql.execute("INSERT INTO counters VALUES (%s, '', 1, 0)", (name,))


class TestFeed:
    def test_prompt(self, store, follower, psql):
        """
        What an operator writes at a prompt is followed: new rows, changed
        ones, a changed key, deleted ones.
        """
        statement = "INSERT INTO counters VALUES (%s, '', %s, 0)"
        with psql.cursor() as cursor:
            cursor.executemany(statement, [("a", 1), ("b", 2), ("c", 3)])
        follower.catch_up()
        first = rows(store, "SELECT name, count FROM counters ORDER BY name")
        psql.execute("UPDATE counters SET count = 9 WHERE name = 'a'")
        psql.execute("UPDATE counters SET name = 'd' WHERE name = 'b'")
        psql.execute("DELETE FROM counters WHERE name = 'c'")
        follower.catch_up()

        assert [("a", 1), ("b", 2), ("c", 3)] == first
        assert [("a", 9), ("d", 2)] == rows(
            store, "SELECT name, count FROM counters ORDER BY name"
        )

    def test_served(self, store, address, psql):
        """
        A node that is served from follows it at once.
        """
        with node(store, address) as served:
            learn(store)
            assert 200 == served.get(TCB).status
            psql.execute("UPDATE issuer_chains SET revoked = 1")
            await_so(lambda: 200 != served.get(TCB).status)

    def test_trimmed(self, store, address, follower, psql):
        """
        A node that sleeps for longer than changes are kept copies all anew.
        """
        for n in range(5):
            psql.execute(
                "INSERT INTO counters VALUES (%s, '', 1, 0)", (f"n{n}",)
            )
        psql.execute("UPDATE changes SET at = 0")
        with NodeSession(address) as session:
            session.trim()
        kept = psql.execute(
            "SELECT count(*) FROM changes WHERE name = 'counters'"
        ).fetchone()
        psql.execute("INSERT INTO counters VALUES ('last', '', 1, 0)")
        follower.catch_up()

        assert (0,) == kept
        assert 6 == len(rows(store, "SELECT name FROM counters"))
        assert follower.is_same()

    def test_far_behind(self, store, address, psql):
        """
        One that is many changes behind catches up in one step.
        """
        psql.execute(
            "INSERT INTO counters SELECT 'n' || n, '', n, 0 "
            "FROM generate_series(1, 20000) n"
        )
        psql.execute("UPDATE counters SET count = count + 1")
        follow(store, address)

        assert [(20000, 200030000)] == rows(
            store, "SELECT count(*), sum(count) FROM counters"
        )

    def test_at_once(self, store, address, psql):
        """
        Processes of one node that catch up at once do not get into each
        other's way.
        """
        failed = []

        def work():
            try:
                for _ in range(20):
                    follow(store, address)
            except UnwritableError as e:
                failed.append(e)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for n in range(50):
            psql.execute(
                "INSERT INTO counters VALUES (%s, '', 1, 0)", (f"n{n}",)
            )
        for thread in threads:
            thread.join()
        follow(store, address)

        assert [] == failed
        assert 50 == len(rows(store, "SELECT name FROM counters"))


#: A change of one: who pays whom, and how much.
TRANSFERS = st.lists(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-9, 9)),
        min_size=1,
        max_size=4,
    ),
    max_size=12,
)


class Watcher(threading.Thread):
    """
    Reads two tables of a replica as of one moment, again and again.
    """

    def __init__(self, store):
        super().__init__()
        self.store = store
        self.ended = threading.Event()
        self.sums = set()

    def run(self):
        """
        Read until told to end.
        """
        query = """
            SELECT (SELECT sum(count) FROM counters WHERE name LIKE 'x%')
                 + (SELECT sum(CAST(value AS INTEGER)) FROM settings
                     WHERE name LIKE 'x%')
        """
        with contextlib.closing(sqlite3.connect(self.store)) as db:
            while not self.ended.is_set():
                self.sums.add(db.execute(query).fetchone()[0])


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """
    A replica of a ledger with four accounts, two in each of two tables.
    """
    path = tmp_path_factory.mktemp("bank") / "thim.db"
    address = new_replica(path, INTEL.anchors)
    with psycopg.connect(address) as db:
        db.execute(
            "INSERT INTO counters VALUES ('x0', '', 100, 0), ('x1', '', 100, 0)"
        )
        db.execute("INSERT INTO settings VALUES ('x2', '100'), ('x3', '100')")
    follow(path, address)
    return path, address


def transfer(db, source, target, amount):
    """
    Move an amount from one account to another.
    """
    for account, change in ((source, -amount), (target, amount)):
        if account < 2:
            query = "UPDATE counters SET count = count + %s WHERE name = %s"
        else:
            query = (
                "UPDATE settings SET value = (value::int + %s)::text "
                "WHERE name = %s"
            )
        db.execute(query, (change, f"x{account}"))


@settings(max_examples=15)
@given(TRANSFERS, st.integers(0, 100))
def test_between_states(bank, transfers, seed):
    """
    A replica is never between two states: what several transactions move
    between two tables is all there at every moment.
    """
    path, address = bank
    draw = random.Random(seed)
    watcher = Watcher(path)
    watcher.start()
    try:
        with (
            psycopg.connect(address) as db,
            Follower(path, address) as follower,
        ):
            for one in transfers:
                with db.transaction(force_rollback=draw.random() < 0.2):
                    for each in one:
                        transfer(db, *each)
                if draw.random() < 0.7:
                    follower.catch_up()
            follower.catch_up()
    finally:
        watcher.ended.set()
        watcher.join()

    assert {400} >= watcher.sums
    expected = rows(path, "SELECT count FROM counters ORDER BY name")
    with psycopg.connect(address) as db:
        theirs = db.execute("SELECT count FROM counters ORDER BY name")
        assert expected == theirs.fetchall()
