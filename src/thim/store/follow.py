"""
Following a PostgreSQL ledger: bringing its changes into a SQLite replica.

A replica is always exactly what the ledger was at one position of its feed:
what has changed since is read as of one snapshot and written in one
transaction, the position with it.  Whoever does it holds the file's write lock
meanwhile, so every process of a node may, and they do not get into each
other's way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import sqlite3

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import LargeBinary, func, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from thim.errors import OperatorError, UnwritableError
from thim.store import schema
from thim.store.copying import copy_out, has_own_rows, upsert_statement
from thim.store.feed import followed_tables, last_position
from thim.store.postgresql import engine_at, explain


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Table

_log: Final = logging.getLogger("thim.replica")
_PAGE: Final = 1000
#: Rows that are written again one by one; if more have changed, all are copied.
_MOST: Final = 2_000_000

_LEDGER: Final = text("""
    SELECT (SELECT value FROM settings WHERE name = 'ledger'),
           (SELECT value FROM settings WHERE name = 'epoch'),
           (SELECT value FROM settings WHERE name = 'feed-begins'),
           (SELECT version_num FROM alembic_version),
           ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))
               ::bit(32)::bigint
""")


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


class Follower:
    """
    Follows the ledger at *address* into the replica in *path*.
    """

    def __init__(self, path: Path, address: str) -> None:
        self._path = path
        self._address = address
        self._engine = engine_at(address)

    def catch_up(self) -> int:
        """
        Bring the replica to what the ledger is now; return its position.

        Raises:
            UnwritableError: The ledger cannot be reached, it is another one or
                one that has gone back, or the replica cannot be written.
        """
        with _explained(), self._writing() as db, self._snapshot() as ledger:
            ours, theirs = read_place(db), find_place(ledger)
            begins = check_places(ours, theirs.place, theirs.begins)
            if begins is None:
                _log.warning("the replica is copied anew: %s", theirs.place)
                copy_out(ledger, db)
            elif ours.position == theirs.place.position:
                return ours.position
            else:
                _apply(ledger, db, ours.position)
            write_place(db, self._address, theirs.place)
            return theirs.place.position

    def is_same(self) -> bool:
        """
        Tell whether the replica's heads are the ledger's, as of one position;
        where they are not, the next `catch_up` copies everything anew.

        Raises:
            UnwritableError: As `catch_up`.
        """
        with _explained(), self._writing() as db, self._snapshot() as ledger:
            ours, theirs = read_place(db), find_place(ledger).place
            if ours != theirs:
                return True  # it has yet to follow
            if digest_heads(db.execute(HEADS)) == digest_heads(
                tuple(row) for row in ledger.execute(text(HEADS))
            ):
                return True
            _log.error("the replica's heads differ from the ledger's")
            db.execute("UPDATE replication SET epoch = ''")
            return False

    def digest(self) -> tuple[int, bytes]:
        """
        Return the replica's position and the digest of its heads there.

        Raises:
            UnwritableError: It cannot be read.
        """
        with (
            _explained(),
            contextlib.closing(open_replica(self._path)) as db,
        ):
            db.execute("BEGIN")
            return read_place(db).position, digest_heads(db.execute(HEADS))

    def check(self, ledger: Connection) -> None:
        """
        Check that the *ledger* is the one that is followed, before somebody
        writes to it.

        Raises:
            UnwritableError: It is another one, or one that has gone back.
        """
        with contextlib.closing(open_replica(self._path)) as db:
            ours = read_place(db)
        theirs = find_place(ledger)
        check_places(ours, theirs.place, theirs.begins)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(open_replica(self._path)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                yield connection


#: Which document is the head of each series: what all nodes must agree on.
HEADS: Final = """
    SELECT s.id, r.sha256, c.sha256, c.revoked
      FROM heads h
      JOIN series s ON s.id = h.series_id
      JOIN records r ON r.id = h.record_id
      JOIN issuer_chains c ON c.id = r.chain_id
     ORDER BY s.id
"""


def digest_heads(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """
    Return the SHA-256 over the *rows* of `HEADS`.
    """
    digest = hashlib.sha256()
    for series, record, chain, revoked in rows:
        digest.update(b"%d %d " % (series, revoked))
        digest.update(bytes(record) + bytes(chain))
    return digest.digest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    Where a ledger is, behind which position its feed *begins*, and the revision
    of its schema: one of a later release only adds, so it can be followed.
    """

    place: Place
    begins: int
    revision: str


def find_place(connection: Connection) -> Found:
    """
    Find out where the ledger at the other end of *connection* is.

    Raises:
        OperatorError: There is none, or one of an earlier schema.
    """
    row = connection.execute(_LEDGER).one()
    identity, epoch, begins, revision, timeline = row
    if revision < schema.REVISION:
        msg = (
            f"the ledger has schema {revision}, expected {schema.REVISION}; "
            f"`thim db migrate` brings it there"
        )
        raise OperatorError(msg, reason="ledger-schema")
    place = Place(
        identity=identity,
        epoch=epoch,
        timeline=timeline,
        position=max(int(begins), last_position(connection)),
    )
    return Found(place=place, begins=int(begins), revision=str(revision))


def check_places(ours: Place, theirs: Place, begins: int) -> int | None:
    """
    Return behind which position the changes begin that *ours* lacks of
    *theirs*; None where everything is to be copied anew.

    Raises:
        UnwritableError: It is another ledger, or an older state of ours.
    """
    if ours.identity != theirs.identity:
        msg = (
            f"the replica follows the ledger {ours.identity}, the database "
            f"has {theirs.identity}: another one's; nothing was changed"
        )
        raise UnwritableError(msg, reason="ledger-foreign")
    if ours.epoch == theirs.epoch and theirs.timeline < ours.timeline:
        msg = (
            f"the database is on timeline {theirs.timeline}, the replica has "
            f"followed it to {ours.timeline}: it is a primary that another "
            f"has taken the place of"
        )
        raise UnwritableError(msg, reason="ledger-superseded")
    is_same = (ours.epoch, ours.timeline) == (theirs.epoch, theirs.timeline)
    if is_same and theirs.position < ours.position:
        msg = (
            f"the ledger is at position {theirs.position} of its feed, the "
            f"replica at {ours.position}: the ledger has lost something"
        )
        raise UnwritableError(msg, reason="ledger-behind")
    is_whole = is_same and begins <= ours.position
    is_whole &= theirs.position - ours.position <= _MOST
    return ours.position if is_whole else None


def read_place(db: sqlite3.Connection) -> Place:
    """
    Read how far the replica *db* is.
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
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None
    )
    for pragma in (
        "busy_timeout = 10000",
        "journal_mode = WAL",
        "synchronous = NORMAL",
    ):
        db.execute(f"PRAGMA {pragma}")
    return db


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DBAPIError as e:
        raise explain(e) from e
    except sqlite3.Error as e:
        msg = f"the replica cannot be written: {e}"
        raise UnwritableError(msg, reason="replica-write") from e


def _apply(ledger: Connection, db: sqlite3.Connection, position: int) -> None:
    changed = _changed_keys(ledger, position)
    for table in followed_tables():
        keys = changed.get(table.name, [])
        if not keys:
            continue
        rows = {
            key: row
            for page in _pages(keys)
            for key, row in _read_rows(ledger, table, page).items()
        }
        # All before any: a name that went from one row to another is free.
        is_kept = has_own_rows(table)
        gone = [key for key in keys if not (is_kept and key in rows)]
        _forget(db, table, gone)
        written = [rows[key] for key in keys if key in rows]
        db.executemany(upsert_statement(table), written)


def _changed_keys(
    ledger: Connection, position: int
) -> dict[str, list[tuple[Any, ...]]]:
    c = schema.changes.c
    query = select(c.name, c.key).where(c.position > position)
    tables = {table.name: table for table in followed_tables()}
    changed: dict[str, dict[tuple[Any, ...], None]] = {}
    for name, key in ledger.execute(query.order_by(c.position)):
        if name not in tables:  # a later release's
            continue
        changed.setdefault(name, {})[_read_key(tables[name], key)] = None
    return {name: list(keys) for name, keys in changed.items()}


def _read_key(table: Table, key: str) -> tuple[Any, ...]:
    pairs = zip(table.primary_key.columns, json.loads(key), strict=True)
    return tuple(
        bytes.fromhex(value) if isinstance(column.type, LargeBinary) else value
        for column, value in pairs
    )


def _pages(
    keys: Sequence[tuple[Any, ...]],
) -> Iterable[Sequence[tuple[Any, ...]]]:
    return (keys[i : i + _PAGE] for i in range(0, len(keys), _PAGE))


def _forget(
    db: sqlite3.Connection, table: Table, keys: Sequence[tuple[Any, ...]]
) -> None:
    names = " AND ".join(f"{c.name} = ?" for c in table.primary_key.columns)
    db.executemany(f"DELETE FROM {table.name} WHERE {names}", keys)  # noqa: S608


def _read_rows(
    ledger: Connection, table: Table, keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    columns = list(table.primary_key.columns)
    # Arrays: of a list PostgreSQL would compare each row with each key.
    arrays = [
        literal([key[n] for key in keys], ARRAY(key_column.type))
        for n, key_column in enumerate(columns)
    ]
    asked = func.unnest(*arrays).table_valued(*(c.name for c in columns))
    condition = tuple_(*columns).in_(select(asked.render_derived("asked")))
    names = [column.name for column in columns]
    return {
        tuple(getattr(row, name) for name in names): tuple(row)
        for row in ledger.execute(select(table).where(condition))
    }
