"""
The file of a replica is opened once, and again when it is another.
"""

import contextlib
import os
import shutil
import sqlite3

import pytest

from thim.store.replica_file import ReplicaFile, read_place


NAMES = "SELECT name FROM counters ORDER BY name"


@pytest.fixture
def file(store):
    """
    A replica, opened for writing.
    """
    with contextlib.closing(ReplicaFile(store)) as opened:
        yield opened


def count(db, name):
    """
    Write a row.
    """
    db.execute("INSERT INTO counters VALUES (?, '', 1, 0)", (name,))


def names(path):
    """
    Which rows whoever opens the file now finds there.
    """
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute(NAMES)]


def replace(store):
    """
    Put a new replica in the place of the old one, as it is made anew.
    """
    new = store.with_name("new.db")
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(store, new)
    store.rename(store.with_name("old.db"))
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    os.link(new, store)


def test_again(file):
    """
    Whoever comes next has what the last one is done with.
    """
    with file.open() as first:
        pass
    with file.open() as second:
        assert first is second


def test_at_once(file):
    """
    Two at once have one each.
    """
    with file.open() as first, file.open() as second:
        assert first is not second


def test_replaced(file, store):
    """
    Where another file has taken its place that one is opened, and closing the
    old one leaves what the new one has in its log.
    """
    with file.writing() as db:
        count(db, "old")
    replace(store)
    with contextlib.closing(sqlite3.connect(store)) as other:
        with other:
            count(other, "new")
        with file.open() as db:
            found = [row[0] for row in db.execute(NAMES)]
        assert ["new", "old"] == found == names(store)
        with file.writing() as db:
            count(db, "newer")
    file.close()

    assert ["new", "newer", "old"] == names(store)
    assert ["old"] == names(store.with_name("old.db"))


def test_missing(file, store):
    """
    A file that is gone is an error, and not an empty one.
    """
    with file.open():
        pass
    store.unlink()
    with pytest.raises(sqlite3.OperationalError), file.open():
        pass

    assert not store.exists()


def test_error(file, store):
    """
    What an error has interrupted is taken back, and keeps nobody waiting.
    """
    with contextlib.suppress(ValueError), file.writing() as db:
        count(db, "a")
        raise ValueError
    with contextlib.closing(sqlite3.connect(store, timeout=0)) as other, other:
        count(other, "b")

    assert ["b"] == names(store)


def test_closed(file, store):
    """
    When it is closed all is in the one file.
    """
    with file.writing() as one, file.open() as other:
        count(one, "a")
        read_place(other)
    file.close()

    assert [] == list(store.parent.glob(f"{store.name}-*"))
    assert ["a"] == names(store)
