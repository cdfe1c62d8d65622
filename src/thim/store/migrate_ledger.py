"""
A PostgreSQL ledger of an earlier release is brought to this one's schema.

As with a store in a file (``store.migrate``): first all of it is copied, into a
SQLite file, and the copy checked; then the migrations run in one transaction.
"""

from __future__ import annotations

import contextlib
import sqlite3
import warnings

from typing import TYPE_CHECKING, Final

from alembic.util import CommandError
from sqlalchemy import MetaData, func, select, text
from sqlalchemy.exc import DBAPIError, SAWarning

from thim.errors import MalformedError, OperatorError
from thim.store.copy import check_copy, close_up, making, move_in
from thim.store.copying import copy_tables
from thim.store.engine import open_engine
from thim.store.feed import install_feed
from thim.store.file import REVISION
from thim.store.ledger_tables import check_has_ledger
from thim.store.migrate import Migrated, run_migrations
from thim.store.postgresql import explain, writing_engine
from thim.store.revision import program_version


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection, Table

_REVISION: Final = text("SELECT version_num FROM alembic_version")
_VERSION: Final = text("SELECT value FROM settings WHERE name = 'version'")


def migrate_ledger(address: str, now: datetime, folder: Path) -> Migrated:
    """
    Bring the ledger at *address* to the newest revision, wholly or not at all,
    and keep it as it was in *folder*.

    Nobody else writes meanwhile; replicas are made anew by their nodes.

    Raises:
        OperatorError: No ledger there, one of a newer revision, or the backup
            cannot be written.
        UnwritableError: The server is away.
    """
    backup = folder / f"ledger.before-{REVISION}-{now:%Y%m%dT%H%M%SZ}"
    try:
        with writing_engine(address).begin() as connection:
            before = _read_revision(connection)
            if before == REVISION:
                return Migrated(before=before, backup=None)
            back_up_ledger(connection, before, backup)
            run_migrations(connection)
            install_feed(connection)
    except DBAPIError as e:
        raise explain(e) from e
    except CommandError as e:
        msg = f"the ledger cannot be migrated: {e}"
        raise OperatorError(msg, reason="store-migrate") from e
    return Migrated(before=before, backup=backup)


def _read_revision(connection: Connection) -> str:
    check_has_ledger(connection)
    found = str(connection.execute(_REVISION).scalar_one())
    if found > REVISION:
        version = connection.execute(_VERSION).scalar() or "an unknown version"
        msg = (
            f"the ledger has schema {found}, made by thim {version}; this is "
            f"thim {program_version()}, which has schema {REVISION}. A schema "
            f"is never made older: use that version or a later one"
        )
        raise OperatorError(msg, reason="store-newer")
    return found


def back_up_ledger(connection: Connection, revision: str, backup: Path) -> None:
    """
    Copy the ledger at the other end of *connection*, which has a *revision* of
    the schema, into the file *backup*, as a store of that revision.

    Raises:
        OperatorError: It cannot be written.
    """
    try:
        with making(backup) as new:
            tables = _make_tables(new, revision)
            with contextlib.closing(sqlite3.connect(new)) as db, db:
                copy_tables(connection, db, tables)
            check_copy(new, _count(connection, new, tables))
            close_up(new, "DELETE")
            move_in(new, backup)
    except (OSError, sqlite3.Error, MalformedError) as e:
        msg = f"the ledger: not migrated, since no backup can be made ({e})"
        raise OperatorError(msg, reason="store-migrate") from e


#: What is each database's own, and the migrations' note.
_LEFT_OUT: Final = frozenset(
    {"alembic_version", "changes", "nodes", "replication"}
)


def _make_tables(path: Path, revision: str) -> Sequence[Table]:
    engine = open_engine(path)
    try:
        with engine.begin() as connection:
            run_migrations(connection, revision)
            found = MetaData()
            with warnings.catch_warnings():
                # Of no account: an index over an expression is not copied.
                warnings.simplefilter("ignore", SAWarning)
                found.reflect(connection)
    finally:
        engine.dispose()
    return [t for t in found.sorted_tables if t.name not in _LEFT_OUT]


def _count(
    connection: Connection, path: Path, tables: Sequence[Table]
) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        names = db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' "
            "AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
    counts = {name: 0 for (name,) in names}
    for table in tables:
        rows = connection.scalar(select(func.count()).select_from(table))
        counts[table.name] = rows or 0
    return {**counts, "alembic_version": 1}
