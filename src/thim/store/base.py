"""
The database under a ledger: a SQLite file, or a PostgreSQL server with such a
file as its replica.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3

from typing import TYPE_CHECKING, Final, Protocol

from sqlalchemy.exc import DBAPIError

from thim.errors import (
    OperatorError,
    ThimError,
    UnavailableError,
    UnwritableError,
)
from thim.store.engine import open_engine
from thim.store.lock import is_followed
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from thim.store.follow import Checked, Follower, News
    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger("thim.ledger")
#: Of a store that cannot be read, or is not there.
_DAMAGED: Final = frozenset(
    {"store-unreadable", "store-damaged", "store-missing"}
)
#: Of a file that somebody uses: no sign of damage.
_IN_USE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Base(Protocol):
    """What a ledger writes to."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """
        Open a transaction, the only one that writes; what it has committed the
        file has, too.

        Raises:
            UnwritableError: It cannot be written, the server is away, or has
                another ledger or one that has gone back.
        """

    def find_unreadable(self) -> Mapping[str, str]:
        """
        Return why each table of the server's that is damaged cannot be read.

        Raises:
            UnwritableError: The server is away.
        """

    def close(self) -> None:
        """
        Give back what is only this one's.
        """


def open_base(path: Path, address: str | None) -> Base:
    """
    Open the ledger in the file *path*, or the one at *address* whose replica
    the file is.

    Raises:
        OperatorError: The address cannot be read.
    """
    if address is None:
        return _SqliteBase(path)
    # Who has one file needs none of this.
    from thim.store.follow import Follower  # noqa: PLC0415
    from thim.store.postgresql import writing_engine  # noqa: PLC0415

    engine = writing_engine(address)
    return _PostgresqlBase(path, engine, Follower(path, address))


def find_ledger(path: Path, anchors: TrustAnchors) -> str | None:
    """
    Return the address of the ledger that the store in *path* follows, None if
    it is the ledger.

    Raises:
        OperatorError: No store there, or one that cannot be used.
        UnwritableError: It is a damaged replica, of a node that runs and makes
            it anew.
    """
    try:
        with contextlib.closing(Replica(path)) as replica:
            replica.check_anchors(anchors)
            return replica.ledger_address()
    except (OperatorError, UnavailableError) as e:
        # The file cannot say any more what it is; its node can.
        if e.reason in _DAMAGED and is_followed(path):
            raise being_remade(path) from e
        raise


def being_remade(path: Path) -> UnwritableError:
    """
    Say that the replica in *path* cannot be used until its node has made it
    anew.
    """
    msg = (
        f"replica {path}: damaged or gone; its node makes it anew from the "
        f"ledger: try again"
    )
    return UnwritableError(msg, reason="replica-damaged")


class _SqliteBase:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = open_engine(path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as e:
            msg = f"store {self._path}: {e.orig}"
            raise UnwritableError(msg) from e

    def find_unreadable(self) -> Mapping[str, str]:
        return {}  # a file is looked at as a whole

    def close(self) -> None:
        self._engine.dispose()


class _PostgresqlBase:
    def __init__(self, path: Path, engine: Engine, follower: Follower) -> None:
        self._path = path
        self._engine = engine
        self._follower = follower

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        from thim.store.postgresql import explain  # noqa: PLC0415

        try:
            with self._engine.begin() as connection:
                checked = self._check(connection)
                yield connection
                news = self._follower.read_news(connection, checked)
        except DBAPIError as e:
            raise explain(e) from e
        if news is not None:
            self._take_in(news)

    def _check(self, connection: Connection) -> Checked:
        try:
            return self._follower.check(connection)
        except sqlite3.Error as e:
            if getattr(e, "sqlite_errorcode", None) in _IN_USE:
                msg = f"the replica {self._path}: {e}"
                raise UnwritableError(msg, reason="replica-write") from e
            raise being_remade(self._path) from e

    def _take_in(self, news: News) -> None:
        # It is kept, whatever becomes of the replica, which follows later.
        try:
            self._follower.take_in(news)
        except ThimError as e:
            _log.warning("the replica %s is behind: %s", self._path, e)

    def find_unreadable(self) -> Mapping[str, str]:
        from thim.store.ledger_damage import find_unreadable  # noqa: PLC0415

        return find_unreadable(self._engine)

    def close(self) -> None:
        """Leave the engine to who uses it next."""
        self._follower.close()


def checkpoint(path: Path) -> None:
    """
    Write what is in SQLite's log back into the file *path*, and begin the log
    anew.

    Raises:
        UnwritableError: It cannot be written.
    """
    try:
        with contextlib.closing(_connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as e:
        msg = f"store {path}: {e}"
        raise UnwritableError(msg) from e


def find_damage(path: Path) -> list[str]:
    """
    Return what SQLite's own checks find wrong with the file *path*.

    Raises:
        OperatorError: It cannot be read.
    """
    try:
        with contextlib.closing(_connect(path)) as db:
            lines = [str(row[0]) for row in db.execute(_INTEGRITY)]
            lines += [
                f"{table} row {row} refers to no {to}"
                for table, row, to, _ in db.execute(_ORPHANS)
            ]
    except sqlite3.Error as e:
        msg = f"store {path}: {e}"
        raise OperatorError(msg, reason="store-unreadable") from e
    return [line for line in lines if line != "ok"]


_INTEGRITY: Final = "PRAGMA integrity_check"
_ORPHANS: Final = "PRAGMA foreign_key_check"


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
    db.execute("PRAGMA busy_timeout = 10000")
    return db
