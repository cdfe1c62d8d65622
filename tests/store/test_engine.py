import sqlite3

import pytest

from sqlalchemy import text

from thim.store.engine import open_engine


@pytest.fixture
def engine(store):
    """
    An engine over the store.
    """
    opened = open_engine(store)
    yield opened
    opened.dispose()


class TestOpenEngine:
    @pytest.mark.parametrize(
        ("pragma", "expected"),
        [
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("busy_timeout", 10000),
        ],
    )
    def test_pragmas(self, engine, pragma, expected):
        """
        WAL, ``synchronous=FULL``, foreign keys and patience are really on.
        """
        with engine.connect() as connection:
            actual = connection.scalar(text(f"PRAGMA {pragma}"))

        assert expected == actual

    def test_every_connection(self, engine):
        """
        They are set on each connection, not only on the first.
        """
        with engine.connect() as first:
            synchronous = [first.scalar(text("PRAGMA synchronous"))]
            first.rollback()
            with engine.connect() as second:
                synchronous.append(second.scalar(text("PRAGMA synchronous")))

        assert [2, 2] == synchronous

    def test_begins_as_a_writer(self, engine, store):
        """
        A transaction has the write lock from its first moment.
        """
        other = sqlite3.connect(store, timeout=0, isolation_level=None)
        with (
            engine.begin(),
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")
        other.close()
