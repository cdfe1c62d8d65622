"""
Which release has written a store, and whether this one can use it.
"""

from __future__ import annotations

import importlib.metadata
import sqlite3

from typing import TYPE_CHECKING

from thim.errors import OperatorError


if TYPE_CHECKING:
    from pathlib import Path

_FIND = "SELECT version_num FROM alembic_version"
_VERSION = "SELECT value FROM settings WHERE name = 'version'"


def program_version() -> str:
    """
    Return the version of this program.
    """
    return importlib.metadata.version("thim")


def read_revision(db: sqlite3.Connection) -> str | None:
    """
    Return the revision of a store's schema; None where none is written down.

    Raises:
        sqlite3.Error: It is no store.
    """
    row = db.execute(_FIND).fetchone()
    return None if row is None else str(row[0])


def read_version(db: sqlite3.Connection) -> str:
    """
    Return the version of the program that has made a store's schema, as far
    as it is written down.

    Raises:
        sqlite3.Error: It is no store.
    """
    row = db.execute(_VERSION).fetchone()
    return str(row[0]) if row else "an unknown version"


def other_schema(
    db: sqlite3.Connection, path: Path, found: str | None, expected: str
) -> OperatorError:
    """
    Say why the store in *path*, of the revision *found*, cannot be used where
    another is *expected*, and what helps.
    """
    if found is not None and found > expected:
        return _newer(db, path, found, expected)
    msg = f"store {path}: schema {found}, expected {expected}"
    if found is not None:
        msg += f"; `thim db migrate --store {path}` brings it there"
    return OperatorError(msg, reason="store-schema")


def _newer(
    db: sqlite3.Connection, path: Path, found: str, expected: str
) -> OperatorError:
    try:
        version = read_version(db)
    except sqlite3.Error:
        version = "an unknown version"
    msg = (
        f"store {path}: schema {found}, made by thim {version}; this is thim "
        f"{program_version()}, which has schema {expected}. A schema is never "
        f"made older: use that version or a later one, or go back to a backup "
        f"of before (`thim db restore`)"
    )
    return OperatorError(msg, reason="store-newer")
