"""
The file of a store, read directly.

Each statement is prepared once per connection (the text is the key of
sqlite3's statement cache) and the file is opened for reading only.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time

from typing import TYPE_CHECKING, Any, Final, TypeVar

from thim.errors import MalformedError, OperatorError, UnavailableError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

#: Kept beside schema.REVISION, so that reading needs no SQLAlchemy.
REVISION: Final = "0008"
#: Seconds between two looks whether the file is another.
_LOOK: Final = 0.5
#: More than any file has.
_GENERATIONS: Final = 2**40
#: More than any store has; address space only.
_MAPPED: Final = 2**36


class StoreFile:
    """
    The file of a store in *path*, opened for reading; one per thread.

    Raises:
        OperatorError: No store there, or one of another schema.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = open_read_only(path)
        self._execute = self._db.cursor().execute
        self._file = _identify(path)
        self._follows = _find_ledger(self._db)
        self._is_mapped = False
        self._opened = 0
        self._looked = time.monotonic()
        self._remembered: dict[str, object] = {}
        self._remembered_at = -1

    def map_file(self) -> None:
        """
        Read by mapping the file into memory: the pages are the kernel's, and
        shared by all workers.
        """
        self._is_mapped = True
        self._db.execute(f"PRAGMA mmap_size = {_MAPPED}")

    def is_in_place(self) -> bool:
        """
        Tell whether the file that was opened still is the one at its path.
        """
        try:
            return _identify(self._path) == self._file
        except OSError:
            return False

    def close(self) -> None:
        """
        Close the file.
        """
        self._db.close()

    def generation(self) -> int:
        """
        Return a number that changes when anybody has committed to the store.
        """
        now = time.monotonic()
        if now - self._looked > _LOOK:
            self._looked = now
            self._renew()
        version = int(self.first("PRAGMA data_version")[0])
        return self._opened * _GENERATIONS + version

    def _renew(self) -> bool:
        """
        Go over to the replica that was made in the place of a damaged one.
        """
        is_held = self._follows is None or self._db.in_transaction
        if is_held or self.is_in_place():
            return False
        try:
            new = open_read_only(self._path)
        except OperatorError:
            return False
        if _find_ledger(new) != self._follows:
            new.close()
            return False
        self._db.close()
        self._db, self._execute = new, new.cursor().execute
        self._file = _identify(self._path)
        self._opened += 1
        if self._is_mapped:
            self.map_file()
        return True

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """
        Return what *make* makes, made once in each generation of the store.
        """
        generation = self.generation()
        if generation != self._remembered_at:
            self._remembered_at = generation
            self._remembered.clear()
        if name not in self._remembered:
            self._remembered[name] = make()
        return self._remembered[name]  # type: ignore[return-value]

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """
        Hold the store still for the reads inside.

        Raises:
            UnavailableError: The file cannot be read at the moment.
        """
        self.first("BEGIN")
        try:
            yield
        finally:
            self.first("COMMIT")

    def rows(
        self, statement: str, values: tuple[object, ...] = ()
    ) -> list[tuple[Any, ...]]:
        """
        Run a prepared statement and return its rows.

        Raises:
            UnavailableError: The file cannot be read at the moment.
        """
        try:
            return self._run(statement, values)
        except (OverflowError, UnicodeEncodeError):
            return []  # a value that no column can hold stands in no row
        except (sqlite3.Error, UnicodeDecodeError) as e:
            # SQLite's own message may hold what is damaged.
            msg = f"the store cannot be read: {e}"
            raise UnavailableError(msg, reason="store-unreadable") from e

    def _run(
        self, statement: str, values: tuple[object, ...]
    ) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.DatabaseError:
            if not self._renew():
                raise
        return self._db.execute(statement, values).fetchall()

    def prepare(
        self, statement: str
    ) -> Callable[[tuple[object, ...]], list[tuple[Any, ...]]]:
        """
        Return what runs one *statement* for values, with as little around it
        as can be: only sqlite3's own errors come out of it.
        """

        def run(values: tuple[object, ...]) -> list[tuple[Any, ...]]:
            return self._execute(statement, values).fetchall()

        return run

    def first(
        self, statement: str, values: tuple[object, ...] = ()
    ) -> tuple[Any, ...]:
        """
        Return the first of the rows, or an empty one.
        """
        return next(iter(self.rows(statement, values)), ())


def _identify(path: Path) -> tuple[int, int]:
    found = path.stat()
    return (found.st_dev, found.st_ino)


def _find_ledger(db: sqlite3.Connection) -> str | None:
    """Return which ledger *db* is a replica of, None if it is one."""
    try:
        row = db.execute("SELECT ledger FROM replication").fetchone()
    except sqlite3.Error:  # damaged: reading it says so
        return None
    return str(row[0]) if row else None


@contextlib.contextmanager
def making_sense() -> Iterator[None]:
    """
    Turn a row that cannot be understood into an `UnavailableError`.
    """
    try:
        yield
    except (
        ValueError,
        TypeError,
        OverflowError,
        LookupError,
        MalformedError,
    ) as e:
        msg = f"the store cannot be read: a row makes no sense ({e})"
        raise UnavailableError(msg, reason="store-damaged") from e


def open_read_only(path: Path) -> sqlite3.Connection:
    """
    Open the store in *path* for reading.

    Raises:
        OperatorError: No store there, or one of another schema.
    """
    check_is_file(path)
    try:
        db = sqlite3.connect(
            f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None
        )
    except (sqlite3.Error, UnicodeDecodeError) as e:
        raise _unreadable(path, e) from e
    try:
        db.execute("PRAGMA busy_timeout = 5000")
        row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as e:
        db.close()
        raise _unreadable(path, e) from e
    if row is None or row[0] != REVISION:
        db.close()
        found = row and row[0]
        msg = f"store {path}: schema {found}, expected {REVISION}"
        if str(found) < REVISION:
            msg += f"; `thim db upgrade --store {path}` brings it there"
        raise OperatorError(msg, reason="store-schema")
    return db


def _unreadable(path: Path, error: Exception) -> OperatorError:
    msg = f"store {path}: cannot be opened, or is not a thim store ({error})"
    return OperatorError(msg, reason="store-unreadable")


def check_is_file(path: Path) -> None:
    """
    Refuse a *path* at which there is no file: a typo must be an error, not an
    empty store.

    Raises:
        OperatorError: No file there.
    """
    try:
        is_there = path.is_file()
    except OSError as e:
        msg = f"store {path}: {e.strerror}"
        raise OperatorError(msg, reason="store-missing") from e
    if not is_there:
        msg = (
            f"store {path}: no such file; `thim db init --store {path}` "
            f"makes one"
        )
        raise OperatorError(msg, reason="store-missing")
