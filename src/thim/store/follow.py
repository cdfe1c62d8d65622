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
import logging
import sqlite3

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from thim.errors import OperatorError, UnwritableError
from thim.store import schema
from thim.store.changed_rows import read_rows, write_rows
from thim.store.copying import copy_out
from thim.store.postgresql import engine_at, explain
from thim.store.replica_file import (
    Place,
    ReplicaFile,
    open_replica,
    read_place,
    write_place,
)


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from sqlalchemy import Connection

    from thim.store.changed_rows import ChangedRows

_log: Final = logging.getLogger("thim.replica")
#: Rows that are written again one by one; if more have changed, all are copied.
_MOST: Final = 2_000_000
#: Changes that are read while others wait to write.
_FEW: Final = 1000

_LEDGER: Final = text("""
    SELECT (SELECT value FROM settings WHERE name = 'ledger'),
           (SELECT value FROM settings WHERE name = 'epoch'),
           (SELECT value FROM settings WHERE name = 'feed-begins'),
           (SELECT version_num FROM alembic_version),
           (SELECT max(position) FROM changes),
           ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))
               ::bit(32)::bigint
""")
_CHANGES: Final = text("""
    SELECT name, key FROM changes
     WHERE position > :since ORDER BY position
""")
#: Of a transaction that has changed something; of any other nothing.
_NEWS: Final = text(f"""
    SELECT name, key, position FROM changes
     WHERE position > :since AND pg_current_xact_id_if_assigned() IS NOT NULL
     ORDER BY position LIMIT {_FEW}
""")  # noqa: S608 - constants only


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    Where a ledger is, behind which position its feed *begins*, and the revision
    of its schema: one of a later release only adds, so it can be followed.
    """

    place: Place
    begins: int
    revision: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """
    A ledger as a transaction has found it, at a *place*, and behind which
    position the changes begin that the replica lacks; None where it is to be
    copied anew.
    """

    place: Place
    begins: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """
    What the ledger will be at a *place* when a transaction has committed: the
    *rows* that have changed since it was at position *begins*; None where they
    are too many to be read while others wait.
    """

    begins: int
    place: Place
    rows: Sequence[ChangedRows] | None


class Follower:
    """
    Follows the ledger at *address* into the replica in *path*; close it, or
    use it in a ``with``.
    """

    def __init__(self, path: Path, address: str) -> None:
        self._path = path
        self._address = address
        self._engine = engine_at(address)
        self._file = ReplicaFile(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """
        Close the replica.
        """
        self._file.close()

    def catch_up(self) -> int:
        """
        Bring the replica to what the ledger is now; return its position.

        Raises:
            UnwritableError: The ledger cannot be reached, it is another one or
                one that has gone back, or the replica cannot be written.
        """
        with (
            _explained(),
            self._file.writing() as db,
            self._snapshot() as ledger,
        ):
            ours, theirs = read_place(db), find_place(ledger)
            begins = check_places(ours, theirs.place, theirs.begins)
            if begins is None:
                _log.warning("the replica is copied anew: %s", theirs.place)
                copy_out(ledger, db)
            elif ours.position == theirs.place.position:
                return ours.position
            else:
                changes = ledger.execute(_CHANGES, {"since": ours.position})
                for changed in read_rows(ledger, changes):
                    write_rows(db, changed)
            write_place(db, self._address, theirs.place)
            return theirs.place.position

    def is_same(self) -> bool:
        """
        Tell whether the replica's heads are the ledger's, as of one position;
        where they are not, the next `catch_up` copies everything anew.

        Raises:
            UnwritableError: As `catch_up`.
        """
        with (
            _explained(),
            self._file.writing() as db,
            self._snapshot() as ledger,
        ):
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
        # Opened anew: what is remembered of a damaged file may be sound.
        with (
            _explained(),
            contextlib.closing(open_replica(self._path)) as db,
        ):
            db.execute("BEGIN")
            return read_place(db).position, digest_heads(db.execute(HEADS))

    def check(self, ledger: Connection) -> Checked:
        """
        Check that the *ledger* is the one that is followed, before somebody
        writes to it.

        Raises:
            UnwritableError: It is another one, or one that has gone back.
        """
        with self._file.open() as db:
            ours = read_place(db)
        theirs = find_place(ledger)
        begins = check_places(ours, theirs.place, theirs.begins)
        return Checked(place=theirs.place, begins=begins)

    def read_news(self, ledger: Connection, checked: Checked) -> News | None:
        """
        Read what the replica will lack when the transaction at the *ledger*
        commits, which was *checked* when it began; None if it has changed
        nothing.

        Nobody else writes meanwhile, so this is what the ledger will be.
        """
        place, begins = checked.place, checked.begins
        since = place.position if begins is None else begins
        found = ledger.execute(_NEWS, {"since": since}).all()
        if not found:
            return None
        is_short = begins is not None and len(found) < _FEW
        return News(
            begins=since,
            place=dataclasses.replace(place, position=found[-1].position),
            rows=list(read_rows(ledger, found)) if is_short else None,
        )

    def take_in(self, news: News) -> None:
        """
        Bring the replica to where what is *news* was committed, at least.

        Raises:
            UnwritableError: As `catch_up`.
        """
        if news.rows is None or not self._write(news, news.rows):
            self.catch_up()

    def _write(self, news: News, rows: Sequence[ChangedRows]) -> bool:
        with _explained(), self._file.writing() as db:
            ours = read_place(db)
            here = dataclasses.replace(news.place, position=ours.position)
            if ours != here or ours.position < news.begins:
                return False  # it was made anew, or set back
            if ours.position < news.place.position:
                for changed in rows:
                    write_rows(db, changed)
                write_place(db, self._address, news.place)
            return True

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            with connection.begin():
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


def find_place(connection: Connection) -> Found:
    """
    Find out where the ledger at the other end of *connection* is.

    Raises:
        OperatorError: There is none, or one of an earlier schema.
    """
    row = connection.execute(_LEDGER).one()
    identity, epoch, begins, revision, newest, timeline = row
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
        position=max(int(begins), newest or 0),
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


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DBAPIError as e:
        raise explain(e) from e
    except sqlite3.Error as e:
        msg = f"the replica cannot be written: {e}"
        raise UnwritableError(msg, reason="replica-write") from e
