"""
The SQLite file of a replica, as whoever writes to it has it open.

Opening it and closing it again cost more than what a change of the ledger
writes into it: whoever is the last to close it folds its log into the file and
waits for the disk.  So what was opened is kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import threading

from typing import TYPE_CHECKING

from thim.errors import OperatorError


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    A place in the history of a ledger.

    A ledger has an *identity* for ever, an *epoch* since it was made or last
    restored, PostgreSQL's *timeline*, which grows when a standby takes over,
    and a *position* in its change feed.
    """

    identity: str
    epoch: str
    timeline: int
    position: int


def read_place(db: sqlite3.Connection) -> Place:
    """
    Read how far the replica *db* is.

    Raises:
        OperatorError: It is a ledger of its own.
    """
    row = db.execute(
        "SELECT ledger, epoch, timeline, position FROM replication"
    ).fetchone()
    if row is None:
        msg = "the store is a ledger of its own, and no replica"
        raise OperatorError(msg, reason="not-a-replica")
    identity, epoch, timeline, position = row
    return Place(
        identity=identity, epoch=epoch, timeline=timeline, position=position
    )


def write_place(db: sqlite3.Connection, address: str, place: Place) -> None:
    """
    Write down how far the replica *db* is.
    """
    db.execute(
        "INSERT OR REPLACE INTO replication (id, address, ledger, epoch, "
        "timeline, position) VALUES (1, ?, ?, ?, ?, ?)",
        (
            address,
            place.identity,
            place.epoch,
            place.timeline,
            place.position,
        ),
    )


def open_replica(path: Path) -> sqlite3.Connection:
    """
    Open the replica in *path* for writing; a power cut may set it back, whole,
    to an earlier position.
    """
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for pragma in (
            "busy_timeout = 10000",
            "journal_mode = WAL",
            "synchronous = NORMAL",
        ):
            db.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        db.close()
        raise
    return db


class ReplicaFile:
    """
    The replica in *path*, for any number of threads; close it.

    Each `open` hands out what an earlier one is done with, if the file at the
    path still is that one: a replica may be made anew under who runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._idle: list[_Opened] = []

    @contextlib.contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """
        Open the file for writing, for one thread.

        Raises:
            sqlite3.Error: It cannot be.
        """
        opened = self._take()
        try:
            yield opened.db
        except BaseException:
            opened.db.close()  # it may be in the middle of something
            raise
        with self._lock:
            self._idle.append(opened)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """
        Open it in a transaction, the only one that writes.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        with self.open() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")

    def close(self) -> None:
        """
        Close all that nobody uses at the moment.
        """
        with self._lock:
            while self._idle:
                self._idle.pop().db.close()

    def _take(self) -> _Opened:
        # Before it is opened: whoever replaces it now is noticed next time.
        inode = _find_inode(self._path)
        with self._lock:
            while self._idle:
                opened = self._idle.pop()
                if opened.inode == inode is not None:
                    return opened
                opened.db.close()
        return _Opened(db=open_replica(self._path), inode=inode)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    db: sqlite3.Connection
    inode: tuple[int, int] | None


def _find_inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
