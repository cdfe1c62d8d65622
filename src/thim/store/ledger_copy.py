"""
A PostgreSQL ledger as a SQLite file, as it is at one instant.
"""

from __future__ import annotations

import contextlib
import sqlite3

from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from thim.store.copying import copy_out, make_tables
from thim.store.feed import followed_tables
from thim.store.postgresql import engine_at, explain
from thim.store.schema import OWN_TABLES


if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from thim.store.copy import Counts


def copy_ledger(address: str, path: Path) -> Counts:
    """
    Copy the ledger at *address* into the file *path*, which is empty; return
    the rows that its tables are to have.

    Raises:
        UnwritableError: The server is away.
        sqlite3.Error: The file cannot be written.
    """
    make_tables(path)
    try:
        with (
            engine_at(address).connect() as connection,
            contextlib.closing(sqlite3.connect(path)) as db,
        ):
            connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin(), db:
                copy_out(connection, db)
                return _count(connection)
    except DBAPIError as e:
        raise explain(e) from e


def _count(connection: Connection) -> Counts:
    counts = {
        table.name: connection.scalar(select(func.count()).select_from(table))
        or 0
        for table in followed_tables()
    }
    return {**counts, **dict.fromkeys(OWN_TABLES, 0), "alembic_version": 1}
