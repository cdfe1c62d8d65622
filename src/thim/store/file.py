"""
The file of a store, read directly.

Each statement is prepared once per connection (the text is the key of
sqlite3's statement cache) and the file is opened for reading only.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time

from typing import TYPE_CHECKING, Any, Final, TypeVar

from thim.errors import MalformedError, OperatorError, UnavailableError
from thim.store.revision import other_schema, read_revision


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
_SIZE: Final = """
    SELECT page_size * page_count
      FROM pragma_page_size(), pragma_page_count()
"""
#: More than any store has; address space only.
_MAPPED: Final = 2**36


class StoreFile:
    """
    The file of a store in *path*, opened for reading; one per thread.

    Whoever *is_running* on it already takes a newer schema as well.

    Raises:
        OperatorError: No store there, or one of another schema.
    """

    def __init__(self, path: Path, *, is_running: bool = False) -> None:
        self._path = path
        self._is_still = is_still(path)
        self._db = open_read_only(path, is_running=is_running)
        self._execute = self._db.cursor().execute
        self._file = _identify(path)
        self._follows = _find_ledger(self._db)
        self._is_mapped = False
        self._is_held = False
        self._opened = 0
        self._looked = time.monotonic()
        self._remembered: dict[str, object] = {}
        self._remembered_at = -1

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def map_file(self) -> None:
        """
        Read by mapping the file into memory: the pages are the kernel's, and
        shared by all workers.
        """
        self._is_mapped = True
        self._db.execute(f"PRAGMA mmap_size = {_MAPPED}")

    def is_in_place(self) -> bool:
        """
        Tell whether the file that was opened still is the one at its path, and
        can be read as it was opened.
        """
        try:
            is_same = _identify(self._path) == self._file
        except OSError:
            return False
        return is_same and (not self._is_still or is_still(self._path))

    def check(self) -> None:
        """
        Check that the file is whole, which SQLite would find out only where
        it reads; two seconds for a gigabyte.

        Raises:
            OperatorError: It is not.
        """
        problem = self._find_damage()
        if problem is not None:
            raise _unreadable(self._path, problem)

    def _find_damage(self) -> str | None:
        try:
            (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            (expected,) = self._db.execute(_SIZE).fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as e:
            return str(e)
        if found != "ok":
            return str(found)
        log = self._path.with_name(f"{self._path.name}-wal")
        size = self._path.stat().st_size
        # What is missing may be in the log.
        if size < expected and not (log.exists() and log.stat().st_size):
            return f"{size} bytes, expected {expected}"
        return None

    def close(self) -> None:
        """
        Close the file.
        """
        self._db.close()

    def revision(self) -> str:
        """
        Return the revision of the schema that the file has by now.
        """
        return str(self.first("SELECT version_num FROM alembic_version")[0])

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
            new = open_read_only(self._path, is_running=True)
        except OperatorError:
            return False
        if _find_ledger(new) != self._follows:
            new.close()
            return False
        self._db.close()
        self._db, self._execute = new, new.cursor().execute
        self._file = _identify(self._path)
        self._is_still = is_still(self._path)
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
        Hold the store still for the reads inside; within another snapshot it
        is still already.

        Raises:
            UnavailableError: The file cannot be read at the moment.
        """
        if self._is_held:
            yield
            return
        self.first("BEGIN")
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
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


def open_read_only(
    path: Path, *, is_running: bool = False
) -> sqlite3.Connection:
    """
    Open the store in *path* for reading.

    Whoever *is_running* on it already goes on to read it when it was brought
    to a newer schema: that only adds to what there is.

    Raises:
        OperatorError: No store there, or one of another schema.
    """
    check_is_file(path)
    # SQLite wants to write beside a store, if only to read; where nobody can
    # it may be told that nobody does.
    still = "&immutable=1" if is_still(path) else ""
    try:
        db = sqlite3.connect(
            f"{path.as_uri()}?mode=ro{still}", uri=True, isolation_level=None
        )
    except (sqlite3.Error, UnicodeDecodeError) as e:
        raise _unreadable(path, e) from e
    try:
        db.execute("PRAGMA busy_timeout = 5000")
        found = read_revision(db)
    except (sqlite3.Error, UnicodeDecodeError) as e:
        db.close()
        raise _unreadable(path, e) from e
    if found != REVISION and not (is_running and (found or "") > REVISION):
        error = other_schema(db, path, found, REVISION)
        db.close()
        raise error
    return db


def is_still(path: Path) -> bool:
    """
    Tell whether nobody can write to the store in *path*, and it is whole in
    its one file: it was closed well, and its disk is read-only.
    """
    try:
        is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        log = path.with_name(f"{path.name}-wal")
        return is_read_only and not (log.exists() and log.stat().st_size)
    except OSError:
        return False


def _unreadable(path: Path, error: Exception | str) -> OperatorError:
    msg = (
        f"store {path}: cannot be opened, or is not a thim store ({error}); "
        f"if it is damaged, `thim db restore FILE --store {path} --replace` "
        f"puts a backup in its place"
    )
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
