"""
Whole SQLite databases: copied as they are at one instant, checked, and made
ready to lie about as single files.

The copy is SQLite's own (its online backup), read in one transaction: whoever
writes meanwhile is neither kept waiting nor seen.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError, OperatorError


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: Rows of each table.
Counts = dict[str, int]

#: What SQLite keeps beside a database.
SUFFIXES: Final = ("-journal", "-wal", "-shm")
#: What must be left when a copy is made.
_MARGIN: Final = 16 * 1024 * 1024
_MIB: Final = 1024 * 1024
_SIZE: Final = """
    SELECT page_size * page_count
      FROM pragma_page_size(), pragma_page_count()
"""


@contextlib.contextmanager
def opened(path: Path, mode: str = "ro") -> Iterator[sqlite3.Connection]:
    """
    Open the database in *path* for a while; *mode* is ``ro`` or ``rw``.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None)
    with contextlib.closing(db):
        db.execute("PRAGMA busy_timeout = 10000")
        yield db


def copy_database(source: Path, target: Path) -> Counts:
    """
    Copy the database in *source* into the file *target*, which is empty;
    return the rows of its tables at that instant.

    Raises:
        sqlite3.Error: It cannot be read or written.
    """
    with opened(source) as db, opened(target, "rw") as copy:
        db.execute("BEGIN")
        counts = count_rows(db)
        db.backup(copy)
        db.execute("COMMIT")
    return counts


def count_rows(db: sqlite3.Connection) -> Counts:
    """
    Count the rows of all tables.
    """
    names = db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' "
        "AND name NOT LIKE 'sqlite_%' ORDER BY name"
    ).fetchall()
    return {name: _count(db, name) for (name,) in names}


def _count(db: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    (count,) = db.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()  # noqa: S608
    return int(count)


def check_copy(path: Path, expected: Mapping[str, int] | None = None) -> Counts:
    """
    Check that the database in *path*, which nobody writes to, is sound, and has
    as many rows as it is *expected* to have; return how many it has.

    Raises:
        MalformedError: It is not; the message says where.
    """
    try:
        with opened(path) as db:
            (problem,) = db.execute("PRAGMA quick_check(1)").fetchone()
            counts = count_rows(db) if problem == "ok" else {}
            # SQLite takes a page that is cut off for one that ends in zeros.
            (expected_size,) = db.execute(_SIZE).fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as e:
        raise _damaged(path, str(e)) from e
    if problem != "ok":
        raise _damaged(path, problem)
    size = path.stat().st_size
    if size != expected_size:
        raise _damaged(path, f"{size} bytes, expected {expected_size}")
    if expected is not None and counts != dict(expected):
        raise _damaged(path, "a table has not as many rows as it had")
    return counts


def _damaged(path: Path, why: str) -> MalformedError:
    return MalformedError(f"{path}: damaged: {why}", reason="store-damaged")


def check_space(source: Path, folder: Path, times: int = 1) -> None:
    """
    Check that *folder* has room for *source*, *times* over.

    Raises:
        OperatorError: It has not.
    """
    parts = (source, source.with_name(f"{source.name}-wal"))
    size = sum(part.stat().st_size for part in parts if part.exists())
    needed = times * size + _MARGIN
    free = shutil.disk_usage(folder).free
    if free < needed:
        msg = (
            f"folder {folder}: {free // _MIB} MiB are free, expected "
            f"{needed // _MIB + 1} MiB; nothing was changed"
        )
        raise OperatorError(msg, reason="store-space")


@contextlib.contextmanager
def making(path: Path) -> Iterator[Path]:
    """
    Make an empty file beside *path*, for its owner alone, to be filled and
    moved in; it is gone in the end, whatever happens.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield new
    finally:
        for leftover in (new, *beside(new)):
            leftover.unlink(missing_ok=True)


def beside(path: Path) -> list[Path]:
    """
    List what SQLite may keep beside the database in *path*.
    """
    return [path.with_name(path.name + suffix) for suffix in SUFFIXES]


def close_up(path: Path, journal: str) -> None:
    """
    Bring all of the database in *path* into its one file, and to the disk:
    with the *journal* ``DELETE`` it can be read where nothing can be written,
    with ``WAL`` it is a store.

    Raises:
        sqlite3.Error, OSError: It cannot be written.
    """
    with opened(path, "rw") as db:
        db.execute(f"PRAGMA journal_mode = {journal}")
    sync(path)


def move_in(new: Path, path: Path, *, is_over: bool = False) -> None:
    """
    Give the file *new* the name *path*, in one step and for good.

    Raises:
        FileExistsError: Something is there, and is not to be replaced
            (*is_over*).
        OSError: It cannot be.
    """
    if is_over:
        new.replace(path)
    else:
        os.link(new, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """
    Have a file or a folder written to the disk.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
