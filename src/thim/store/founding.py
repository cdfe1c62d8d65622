"""
Making PostgreSQL ledgers, and replicas of them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
import uuid

from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from thim.errors import OperatorError, UnwritableError
from thim.store import schema
from thim.store.anchors import stamp_anchors
from thim.store.base import checkpoint
from thim.store.copy import beside
from thim.store.copying import copy_in, copy_out, make_tables
from thim.store.feed import install_feed
from thim.store.follow import Follower, find_place
from thim.store.ledger_tables import check_has_ledger, has_ledger
from thim.store.node_state import AWAY, REFUSED
from thim.store.notes import put_setting
from thim.store.postgresql import engine_at, explain, writing_engine
from thim.store.replica import Replica
from thim.store.replica_file import (
    Place,
    open_replica,
    read_place,
    write_place,
)
from thim.store.revision import program_version


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger("thim.replica")
_PROGRAM: Final = text("SELECT value FROM settings WHERE name = 'version'")
#: Of a database that somebody uses: no sign of damage.
_IN_USE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_EXISTS: Final = "ledger-exists"
_VERSION: Final = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY)"
)


def make_ledger(address: str, anchors: TrustAnchors) -> None:
    """
    Make an empty ledger in the empty database at *address*.

    Raises:
        OperatorError: Something is there already.
        UnwritableError: The server is away.
    """
    with _founding(address) as connection:
        stamp_anchors(connection, anchors)
        put_setting(connection, "version", program_version())
        _name_ledger(connection, str(uuid.uuid4()))


def provide_ledger(address: str, anchors: TrustAnchors) -> bool:
    """
    See to it that there is a ledger in the database at *address*; return
    whether it is new.

    Raises:
        UnwritableError: The server is away.
    """
    try:
        make_ledger(address, anchors)
    except OperatorError as e:
        if e.reason != _EXISTS:
            raise
        return False
    return True


def move_ledger(path: Path, address: str) -> None:
    """
    Make a ledger of the SQLite file *path* in the empty database at *address*,
    under another identity, since the file goes on to be a ledger too.

    Raises:
        OperatorError: Something is there already.
        UnwritableError: The server is away.
        UnavailableError: The file cannot be read.
    """
    with _founding(address) as connection:
        copy_in(path, connection)
        connection.execute(
            text(
                "DELETE FROM settings "
                "WHERE name IN ('ledger', 'epoch', 'feed-begins')"
            )
        )
        _name_ledger(connection, str(uuid.uuid4()))


def move_store(
    path: Path, address: str, anchors: TrustAnchors, now: datetime
) -> Path:
    """
    Move the ledger in the SQLite file *path* into the empty database at
    *address*, and put a replica in its place; return under which name the file
    is kept.

    Raises:
        OperatorError: It is a replica, for other anchors, or something is in
            the database already.
        UnwritableError: The server is away.
        UnavailableError: The file cannot be read.
    """
    with contextlib.closing(Replica(path)) as replica:
        replica.check_anchors(anchors)
        if replica.ledger_address() is not None:
            msg = f"store {path}: a replica; its ledger is in PostgreSQL"
            raise OperatorError(msg, reason="not-a-ledger")
    checkpoint(path)
    move_ledger(path, address)
    kept = path.with_name(f"{path.name}.moved-{now:%Y%m%dT%H%M%SZ}")
    with _copied(path, address) as new:
        path.rename(kept)
        for part in beside(path):
            part.unlink(missing_ok=True)
        os.link(new, path)
    return kept


def move_out(path: Path, target: Path) -> None:
    """
    Copy the ledger that the replica in *path* follows into the new file
    *target*, which is a ledger of its own.

    Raises:
        OperatorError: It is no replica, or something is there already.
        UnwritableError: The server is away.
    """
    with contextlib.closing(Replica(path)) as replica:
        address = replica.ledger_address()
    if address is None:
        msg = f"store {path}: the ledger is in this file, not in PostgreSQL"
        raise OperatorError(msg, reason="not-a-replica")
    if os.path.lexists(target):
        msg = f"store {target}: exists already; nothing was changed"
        raise OperatorError(msg, reason="store-exists")
    with _copied(target, address) as new:
        with contextlib.closing(open_replica(new)) as db:
            db.execute("DELETE FROM replication")
            db.execute(
                "DELETE FROM settings "
                "WHERE name IN ('ledger', 'epoch', 'feed-begins')"
            )
        checkpoint(new)
        os.link(new, target)


@contextlib.contextmanager
def _founding(address: str) -> Iterator[Connection]:
    try:
        with writing_engine(address).begin() as connection:
            _make_tables(connection)
            yield connection
            install_feed(connection)
    except DBAPIError as e:
        raise explain(e) from e


def _make_tables(connection: Connection) -> None:
    if has_ledger(connection):
        msg = "the database has a ledger already; nothing was changed"
        raise OperatorError(msg, reason=_EXISTS)
    schema.metadata.create_all(connection, checkfirst=False)
    connection.execute(text(_VERSION))
    connection.execute(
        text("INSERT INTO alembic_version VALUES (:revision)"),
        {"revision": schema.REVISION},
    )


def _name_ledger(connection: Connection, identity: str) -> None:
    connection.execute(
        insert(schema.settings),
        [
            {"name": "ledger", "value": identity},
            {"name": "epoch", "value": str(uuid.uuid4())},
            {"name": "feed-begins", "value": "0"},
        ],
    )


def make_replica(path: Path, address: str) -> None:
    """
    Make a replica of the ledger at *address* in *path*, where nothing is.

    Raises:
        OperatorError: Something is there already, or there is no ledger.
        UnwritableError: The server is away.
    """
    if os.path.lexists(path):
        msg = f"store {path}: exists already; nothing was changed"
        raise OperatorError(msg, reason="store-exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _copied(path, address) as new:
        os.link(new, path)


def _find_current(connection: Connection) -> Place:
    """Find out where the ledger is, if it is of this release's schema."""
    found = find_place(connection)
    if found.revision > schema.REVISION:
        version = connection.scalar(_PROGRAM) or "an unknown version"
        msg = (
            f"the ledger has schema {found.revision}, made by thim {version}; "
            f"this is thim {program_version()}, which has schema "
            f"{schema.REVISION}: use that version or a later one"
        )
        raise OperatorError(msg, reason="store-newer")
    return found.place


def provide_replica(path: Path, address: str) -> None:
    """
    See to it that in *path* is a sound replica of the ledger at *address*; one
    that is damaged is made anew.  It may be behind, if the server is away.

    Raises:
        OperatorError: The store in *path* is a ledger of its own, or the ledger
            of another schema.
        UnwritableError: The database has another ledger, or there is no
            replica yet and the server is away or refuses this node.
    """
    if not os.path.lexists(path):
        make_replica(path, address)
        return
    if not is_sound(path):
        _log.error("the replica %s cannot be used, and is made anew", path)
        remake_replica(path, address)
    check_is_replica(path)
    try:
        with engine_at(address).connect() as connection:
            _find_current(connection)
        with Follower(path, address) as follower:
            follower.catch_up()
    except DBAPIError as e:
        _log.warning("%s is served as it is: %s", path, explain(e))
    except UnwritableError as e:
        if e.reason not in {AWAY, REFUSED}:
            raise
        _log.warning("%s is served as it is: %s", path, e)
    # Not before: the database may be another one's.
    readdress(path, address)


def is_sound(path: Path) -> bool:
    """
    Tell whether SQLite can make sense of the file *path*, and it has this
    release's schema.
    """
    try:
        # Only to look: to write to a damaged one may wait for its readers.
        looking = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        with contextlib.closing(looking) as db:
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
            (revision,) = db.execute(
                "SELECT version_num FROM alembic_version"
            ).fetchone()
    except sqlite3.DatabaseError as e:
        return e.sqlite_errorcode in {
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        }
    except UnicodeDecodeError:
        return False
    return bool(found == "ok" and revision == schema.REVISION)


def check_is_replica(path: Path) -> None:
    """
    Check that the store in *path* is a replica of some ledger.

    Raises:
        OperatorError: The store is a ledger of its own.
    """
    with contextlib.closing(open_replica(path)) as db:
        try:
            read_place(db)
        except OperatorError as e:
            msg = (
                f"store {path}: a ledger of its own, and the setting ledger "
                f"names another; `thim db move` brings what is in it there"
            )
            raise OperatorError(msg, reason=e.reason) from e


def readdress(path: Path, address: str) -> None:
    """
    Have the replica in *path* follow its ledger at *address* from now on.

    Raises:
        OperatorError: The store is a ledger of its own.
    """
    check_is_replica(path)
    with contextlib.closing(open_replica(path)) as db:
        db.execute("UPDATE replication SET address = ?", (address,))


def remake_replica(path: Path, address: str) -> None:
    """
    Put a new replica of the ledger at *address* in the place of the one in
    *path*, which is damaged.

    Raises:
        UnwritableError: The server is away.
    """
    with _copied(path, address) as new:
        # SQLite would take what is left of the old one's log for the new's.
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(f"{path.name}.damaged"))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        os.link(new, path)


@contextlib.contextmanager
def _copied(path: Path, address: str) -> Iterator[Path]:
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        make_tables(new)
        _copy(new, address)
        yield new
    except OSError as e:
        msg = f"store {path}: cannot be made ({e.strerror})"
        raise OperatorError(msg, reason="store-unwritable") from e
    except DBAPIError as e:
        raise explain(e) from e
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)


def _copy(new: Path, address: str) -> None:
    with (
        engine_at(address).connect() as connection,
        contextlib.closing(sqlite3.connect(new)) as db,
    ):
        connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin(), db:
            check_has_ledger(connection)
            place = _find_current(connection)
            copy_out(connection, db)
            write_place(db, address, place)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
