"""
Making a store: the migrations, run to the newest revision.

The file is built beside its place and moved in when it is whole, so an
interrupted run leaves no half store.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from thim.errors import OperatorError
from thim.store import ledger
from thim.store.engine import open_engine
from thim.store.file import check_is_file


if TYPE_CHECKING:
    from sqlalchemy import Connection

    from thim.x509.chain import TrustAnchors

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def create_store(path: Path, anchors: TrustAnchors) -> None:
    """
    Make an empty store in *path*, for documents under *anchors*.

    Missing folders are made; the file is readable by its owner alone.

    Raises:
        OperatorError: Something is there already, or it cannot be written.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        for there in (path, *_beside(path)):
            if os.path.lexists(there):
                raise _exists(there)
        path.parent.mkdir(parents=True, exist_ok=True)
        _build(new, path, anchors)
    except (OSError, DBAPIError) as e:
        why = e.strerror if isinstance(e, OSError) else e.orig
        msg = f"store {path}: cannot be made ({why})"
        raise OperatorError(msg, reason="store-unwritable") from e


def upgrade_store(path: Path) -> None:
    """
    Bring the store in *path* to the newest revision, wholly or not at all.

    Raises:
        OperatorError: No store there, or it cannot be written.
    """
    check_is_file(path)
    _check_is_store(path)
    engine = open_engine(path)
    try:
        with engine.begin() as connection:
            command.upgrade(_migrations(connection), "head")
    except (DBAPIError, CommandError) as e:
        raise _cannot_upgrade(path, e) from e
    finally:
        engine.dispose()


def _check_is_store(path: Path) -> None:
    # Alembic would make a store of any database.
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            db.execute("SELECT version_num FROM alembic_version").fetchone()
            db.execute("SELECT value FROM settings WHERE name = 'anchors'")
    except sqlite3.Error as e:
        raise _cannot_upgrade(path, e) from e


def _cannot_upgrade(path: Path, error: Exception) -> OperatorError:
    why = error.orig if isinstance(error, DBAPIError) else error
    msg = f"store {path}: cannot be upgraded, or is not a thim store ({why})"
    return OperatorError(msg, reason="store-upgrade")


def _beside(path: Path) -> list[Path]:
    # SQLite would take one of these for a part of the new store.
    suffixes = ("-journal", "-wal", "-shm")
    return [path.with_name(path.name + suffix) for suffix in suffixes]


def _exists(path: Path) -> OperatorError:
    msg = f"store {path}: exists already; nothing was changed"
    return OperatorError(msg, reason="store-exists")


def _build(new: Path, path: Path, anchors: TrustAnchors) -> None:
    try:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _fill(new, anchors)
        _move_in(new, path)
    finally:
        for leftover in (new, *_beside(new)):
            leftover.unlink(missing_ok=True)


def _move_in(new: Path, path: Path) -> None:
    try:
        os.link(new, path)
    except FileExistsError:  # somebody else was faster
        raise _exists(path) from None
    _sync_folder(path.parent)


def _fill(path: Path, anchors: TrustAnchors) -> None:
    engine = open_engine(path)
    try:
        with engine.begin() as connection:
            command.upgrade(_migrations(connection), "head")
            ledger.stamp_anchors(connection, anchors)
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    finally:
        engine.dispose()


def _migrations(connection: Connection) -> Config:
    config = Config()
    config.set_main_option(
        "script_location", str(_MIGRATIONS).replace("%", "%%")
    )
    config.attributes["connection"] = connection
    return config


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
