"""
A store of an earlier release is brought to this one's schema.

First all of it is copied and the copy checked; then the migrations run in one
transaction.  So there are always two ways back.
"""

from __future__ import annotations

import dataclasses
import sqlite3

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from thim.errors import MalformedError, OperatorError
from thim.store.copy import (
    check_copy,
    check_space,
    close_up,
    copy_database,
    making,
    move_in,
    opened,
)
from thim.store.engine import open_engine
from thim.store.file import REVISION, check_is_file
from thim.store.notes import put_setting
from thim.store.revision import other_schema, program_version, read_revision


if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

MIGRATIONS: Final = Path(__file__).parent / "migrations"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """
    What was done: the revision that a store had *before*, and where the
    *backup* of it is; None where there was nothing to do.
    """

    before: str
    backup: Path | None


def migrate_store(
    path: Path, now: datetime, folder: Path | None = None
) -> Migrated:
    """
    Bring the store in *path* to the newest revision, wholly or not at all, and
    keep it as it was in *folder*, by default its own.

    Raises:
        OperatorError: No store there, one of a newer revision, or it or its
            backup cannot be written.
    """
    before = _read_revision(path)
    if before == REVISION:
        return Migrated(before=before, backup=None)
    name = f"{path.name}.before-{REVISION}-{now:%Y%m%dT%H%M%SZ}"
    backup = (folder or path.parent) / name
    _back_up(path, backup)
    try:
        _migrate(path)
    except OperatorError as e:
        msg = f"{e}; it is as it was, and a backup of it is in {backup}"
        raise OperatorError(msg, reason=e.reason) from e
    return Migrated(before=before, backup=backup)


def _read_revision(path: Path) -> str:
    # Alembic would make a store of any database.
    check_is_file(path)
    try:
        with opened(path) as db:
            found = read_revision(db)
            db.execute("SELECT value FROM settings WHERE name = 'anchors'")
            if found is None or found > REVISION:
                raise other_schema(db, path, found, REVISION)
    except (sqlite3.Error, UnicodeDecodeError) as e:
        raise _cannot(path, e) from e
    return found


def _back_up(path: Path, backup: Path) -> None:
    try:
        # The migrations may write all of it once more.
        check_space(path, backup.parent, times=2)
        with making(backup) as new:
            counts = copy_database(path, new)
            check_copy(new, counts)
            close_up(new, "DELETE")
            move_in(new, backup)
    except (OSError, sqlite3.Error, MalformedError) as e:
        msg = (
            f"store {path}: not migrated, since no backup can be made in "
            f"{backup} ({e})"
        )
        raise OperatorError(msg, reason="store-migrate") from e


def _migrate(path: Path) -> None:
    engine = open_engine(path)
    try:
        with engine.begin() as connection:
            run_migrations(connection)
    except (DBAPIError, CommandError) as e:
        raise _cannot(path, e) from e
    finally:
        engine.dispose()


def _cannot(path: Path, error: Exception) -> OperatorError:
    why = error.orig if isinstance(error, DBAPIError) else error
    msg = f"store {path}: cannot be migrated, or is not a thim store ({why})"
    return OperatorError(msg, reason="store-migrate")


def run_migrations(connection: Connection, revision: str = "head") -> None:
    """
    Run the migrations up to a *revision*; the newest notes which program it
    was.
    """
    command.upgrade(_configure(connection), revision)
    if revision != "head":
        return
    put_setting(connection, "version", program_version())


def _configure(connection: Connection) -> Config:
    config = Config()
    config.set_main_option(
        "script_location", str(MIGRATIONS).replace("%", "%%")
    )
    config.attributes["connection"] = connection
    return config
