"""
The SQLAlchemy engine over a SQLite ledger, set for durability.

WAL and ``synchronous=FULL``: a commit that returned is on the disk.  Each
transaction begins as a writer (``BEGIN IMMEDIATE``), so it waits for its turn
at the start and never fails half-way for want of a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Engine, create_engine, event


if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)


def open_engine(path: Path) -> Engine:
    """
    Make an engine over the SQLite file *path*; the caller disposes of it.
    """
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _record: object) -> None:  # noqa: ANN401 - DBAPI
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
