"""
The replica: what a node serves from, a local SQLite file read directly.

On one node it is the ledger's own file.  Each statement is prepared once per
connection (the text is the key of sqlite3's statement cache) and the file is
opened for reading only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3

from typing import TYPE_CHECKING, Any, Final, TypeVar

from thim.collateral.ports import Held
from thim.collateral.records import CollateralKey, Kind
from thim.errors import MalformedError, OperatorError, UnavailableError
from thim.intel.names import Tee, Update
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.x509.chain import TrustAnchors

T = TypeVar("T")

#: Kept beside schema.REVISION, so that reading needs no SQLAlchemy.
REVISION: Final = "0004"
_NEVER: Final = 2**62
#: More than any store has; address space only.
_MAPPED: Final = 2**36

_COLUMNS: Final = """
    r.body, c.pem, r.issued, r.next_update, r.sha256, r.fetched
"""
_SERIES: Final = """
    s.vendor = ? AND s.kind = ? AND s.subject = ? AND s.structure = ?
    AND coalesce(s.evaluation_number, -1) = ?
"""
_HEAD: Final = f"""
    SELECT {_COLUMNS}
      FROM series s
      JOIN heads h ON h.series_id = s.id
      JOIN records r ON r.id = h.record_id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE {_SERIES} AND c.revoked = 0
"""  # noqa: S608 - constants only
_AS_OF: Final = f"""
    SELECT {_COLUMNS}
      FROM series s
      JOIN records r ON r.series_id = s.id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE {_SERIES} AND r.issued <= ? AND c.revoked = 0
     ORDER BY r.issued DESC LIMIT 1
"""  # noqa: S608
_BEGIN: Final = f"""
    SELECT min(r.issued)
      FROM series s JOIN records r ON r.series_id = s.id
     WHERE {_SERIES}
"""  # noqa: S608
_NUMBERS: Final = """
    SELECT DISTINCT s.evaluation_number
      FROM series s
     WHERE s.evaluation_number IS NOT NULL
       AND EXISTS (SELECT 1 FROM records r
                    WHERE r.series_id = s.id AND r.issued <= ?)
"""
_CHANNELS: Final = "SELECT name, evaluation_number FROM channels ORDER BY id"
_CHANNELS_AT: Final = """
    SELECT name, evaluation_number FROM channels
     WHERE seen <= ? ORDER BY seen, id
"""
_FMSPCS: Final = """
    SELECT DISTINCT s.subject
      FROM series s
      JOIN records r ON r.series_id = s.id
      JOIN issuer_chains c ON c.id = r.chain_id
     WHERE s.kind = 'tcb-info' AND s.evaluation_number IS NOT NULL
       AND r.issued <= ? AND c.revoked = 0
     ORDER BY s.subject
"""
_PLATFORM_FMSPCS: Final = "SELECT DISTINCT fmspc FROM pck_families"
_ENTRIES: Final = """
    SELECT s.vendor, s.kind, s.subject, s.structure, s.evaluation_number,
           r.issued, r.next_update, r.sha256, length(r.body), r.source,
           h.record_id IS NOT NULL
      FROM records r
      JOIN series s ON s.id = r.series_id
      LEFT JOIN heads h ON h.record_id = r.id
     ORDER BY s.vendor, s.kind, s.subject, s.structure,
              s.evaluation_number, r.issued
"""
_ANCHORS: Final = "SELECT value FROM settings WHERE name = 'anchors'"
_COUNT: Final = """
    SELECT count(*), sum(r.next_update < ?)
      FROM heads h JOIN records r ON r.id = h.record_id
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the archive's table of contents; *size* in bytes."""

    key: CollateralKey
    evaluation_number: int | None
    issued: datetime
    next_update: datetime | None
    sha256: bytes
    size: int
    source: str
    is_head: bool


class Replica:
    """
    A read-only view of a store in *path*; one per thread.

    Implements ``collateral.ports.CollateralReader``.

    Raises:
        OperatorError: No store there, or one of another schema.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = open_read_only(path)
        found = path.stat()
        self._file = (found.st_dev, found.st_ino)
        self._remembered: dict[str, object] = {}
        self._remembered_at = -1

    def map_file(self) -> None:
        """
        Read by mapping the file into memory: the pages are the kernel's, and
        shared by all workers.
        """
        self.rows(f"PRAGMA mmap_size = {_MAPPED}")

    def is_in_place(self) -> bool:
        """
        Tell whether the file that was opened still is the one at its path.
        """
        try:
            found = self._path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def close(self) -> None:
        """
        Close the file.
        """
        self._db.close()

    def check_anchors(self, anchors: TrustAnchors) -> None:
        """
        Refuse a store whose documents lead to other root keys.

        Raises:
            OperatorError: It was made for other trust anchors.
        """
        row = self.first(_ANCHORS)
        stamped = row[0] if row else "none"
        if stamped != spell_anchors(anchors):
            msg = (
                f"store {self._path}: made for the trust anchors {stamped}, "
                f"this service has {spell_anchors(anchors)}; a store belongs "
                f"to its trust anchors for ever"
            )
            raise OperatorError(msg, reason="store-anchors")

    def generation(self) -> int:
        """
        Return a number that changes when anybody has committed to the store.
        """
        return int(self.first("PRAGMA data_version")[0])

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
            return self._db.execute(statement, values).fetchall()
        except (OverflowError, UnicodeEncodeError):
            return []  # a value that no column can hold stands in no row
        except sqlite3.Error as e:
            msg = f"the store cannot be read: {e}"
            raise UnavailableError(msg, reason="store-unreadable") from e

    def prepare(
        self, statement: str
    ) -> Callable[[tuple[object, ...]], list[tuple[Any, ...]]]:
        """
        Return what runs one *statement* for values, with as little around it
        as can be: only sqlite3's own errors come out of it.
        """
        execute = self._db.cursor().execute

        def run(values: tuple[object, ...]) -> list[tuple[Any, ...]]:
            return execute(statement, values).fetchall()

        return run

    def first(
        self, statement: str, values: tuple[object, ...] = ()
    ) -> tuple[Any, ...]:
        """
        Return the first of the rows, or an empty one.
        """
        return next(iter(self.rows(statement, values)), ())

    def entries(self) -> Sequence[Entry]:
        """
        List the whole archive, ordered by key, number and issue date.
        """
        rows = self.rows(_ENTRIES)
        with making_sense():
            return [_entry(row) for row in rows]

    def count_heads(self, expired_at: datetime) -> tuple[int, int]:
        """
        Count the heads, and those whose next update is before *expired_at*.
        """
        heads, expired = self.first(_COUNT, (to_stored(expired_at),))
        return heads, expired or 0

    def find(
        self,
        key: CollateralKey,
        number: int | None = None,
        at: datetime | None = None,
    ) -> Held | None:
        """
        Find the head of *key* and *number*, or what was current at *at*.
        """
        names = _names(key, number)
        if at is None:
            row = self.first(_HEAD, names)
        else:
            row = self.first(_AS_OF, (*names, to_stored(at)))
        with making_sense():
            return _held(key, number, row) if row else None

    def begin(
        self, key: CollateralKey, number: int | None = None
    ) -> datetime | None:
        """
        Return the first issue date that the archive has.
        """
        (first,) = self.first(_BEGIN, _names(key, number))
        with making_sense():
            return None if first is None else from_stored(first)

    def numbers(self, at: datetime | None = None) -> frozenset[int]:
        """
        Return each evaluation number of which some document is archived.
        """
        rows = self.rows(_NUMBERS, (_until(at),))
        return frozenset(number for (number,) in rows)

    def channels(self, at: datetime | None = None) -> Mapping[Update, int]:
        """
        Return what the vendor's channels were last seen to point to.
        """
        # Today the last that was told counts, whatever the clock said then.
        if at is None:
            rows = self.rows(_CHANNELS)
        else:
            rows = self.rows(_CHANNELS_AT, (to_stored(at),))
        with making_sense():
            return {Update(name): number for name, number in rows}

    def fmspcs(self, at: datetime | None = None) -> Sequence[tuple[str, Tee]]:
        """
        Return each FMSPC (upper-case hex) and TEE with a verified TCB info.
        """
        rows = self.rows(_FMSPCS, (_until(at),))
        with making_sense():
            pairs = (subject.split(":") for (subject,) in rows)
            return [(fmspc, Tee(tee.upper())) for tee, fmspc in pairs]

    def platform_fmspcs(self) -> Sequence[str]:
        """
        Return each FMSPC (upper-case hex) that a known platform has.
        """
        return [row[0].hex().upper() for row in self.rows(_PLATFORM_FMSPCS)]


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
    except sqlite3.Error as e:
        raise _unreadable(path, e) from e
    try:
        db.execute("PRAGMA busy_timeout = 5000")
        row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as e:
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


def _unreadable(path: Path, error: sqlite3.Error) -> OperatorError:
    msg = f"store {path}: cannot be opened, or is not a thim store ({error})"
    return OperatorError(msg, reason="store-unreadable")


def spell_anchors(anchors: TrustAnchors) -> str:
    """
    Write *anchors* as a store is stamped with them.
    """
    return " ".join(sorted(pin.hex() for pin in anchors.spki_sha256))


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


def _names(
    key: CollateralKey, number: int | None
) -> tuple[str, str, str, int, int]:
    return (
        key.vendor,
        key.kind.value,
        key.subject,
        key.structure,
        -1 if number is None else number,
    )


def _until(at: datetime | None) -> int:
    return _NEVER if at is None else to_stored(at)


def _entry(row: tuple[Any, ...]) -> Entry:
    vendor, kind, subject, structure, number, issued, next_update, *rest = row
    sha256, size, source, is_head = rest
    return Entry(
        key=CollateralKey(
            vendor=vendor,
            kind=Kind(kind),
            subject=subject,
            structure=structure,
        ),
        evaluation_number=number,
        issued=from_stored(issued),
        next_update=None if next_update is None else from_stored(next_update),
        sha256=sha256,
        size=size,
        source=source,
        is_head=bool(is_head),
    )


def _held(
    key: CollateralKey,
    number: int | None,
    row: tuple[Any, ...],
) -> Held:
    body, chain, issued, next_update, sha256, fetched = row
    return Held(
        key=key,
        evaluation_number=number,
        body=body,
        issuer_chain=chain,
        issued=from_stored(issued),
        next_update=None if next_update is None else from_stored(next_update),
        sha256=sha256,
        fetched=from_stored(fetched),
    )
