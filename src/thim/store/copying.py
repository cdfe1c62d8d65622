"""
Copying a whole ledger, from one database into another.

Rows are copied as they are, numbers included, so the copy is the same ledger:
a backup is a SQLite file whatever the ledger is kept in, and so is a replica.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Integer, create_engine, func, insert, select, text

from thim.errors import OperatorError, UnavailableError
from thim.store import schema
from thim.store.feed import followed_tables


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Table

#: Rows that are read and written at once.
PAGE: Final = 2000


def insert_statement(table: Table) -> str:
    """
    Return what inserts all columns of *table* into a SQLite file.
    """
    names = ", ".join(column.name for column in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608


def has_own_rows(table: Table) -> bool:
    """
    Tell whether SQLite numbers the rows of *table* by itself, so that they
    stand in the order in which they came.
    """
    key = list(table.primary_key.columns)
    return len(key) > 1 or not isinstance(key[0].type, Integer)


@functools.cache
def upsert_statement(table: Table) -> str:
    """
    Return what puts a whole row of *table* into a SQLite file, at its place if
    SQLite numbers the rows.
    """
    statement = insert_statement(table)
    if not has_own_rows(table):
        return statement
    key = ", ".join(column.name for column in table.primary_key.columns)
    values = ", ".join(
        f"{column.name} = excluded.{column.name}"
        for column in table.columns
        if not column.primary_key
    )
    return f"{statement} ON CONFLICT ({key}) DO UPDATE SET {values}"


def stamp_revision(db: sqlite3.Connection) -> None:
    """
    Write down which schema the SQLite file *db* has: this release's.
    """
    db.execute(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY)"
    )
    db.execute("INSERT INTO alembic_version VALUES (?)", (schema.REVISION,))


def make_tables(path: Path) -> None:
    """
    Make all tables of this release's schema, empty, in a SQLite file.

    What the migrations build is the same; they are for who has an older one.
    """
    engine = create_engine(f"sqlite:///{path}")
    try:
        schema.metadata.create_all(engine)
    finally:
        engine.dispose()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        stamp_revision(db)


def copy_out(connection: Connection, db: sqlite3.Connection) -> None:
    """
    Copy the ledger at the other end of *connection* into the SQLite file *db*,
    in the place of what it has; the caller has both in a transaction.
    """
    copy_tables(connection, db, followed_tables())


def copy_tables(
    connection: Connection, db: sqlite3.Connection, tables: Sequence[Table]
) -> None:
    """
    Copy *tables*, parents first, as `copy_out` does.
    """
    for table in reversed(tables):
        db.execute(f"DELETE FROM {table.name}")  # noqa: S608 - ours
    for table in tables:
        statement = insert_statement(table)
        for page in _pages(connection, table):
            db.executemany(statement, page)


def _pages(
    connection: Connection, table: Table
) -> Iterator[Sequence[tuple[Any, ...]]]:
    # Of the statement: what else is said on this connection is no query that a
    # server could have a cursor for.
    rows = select(table).execution_options(yield_per=PAGE)
    with connection.execute(rows) as result:
        for page in result.partitions():
            yield [tuple(row) for row in page]


def copy_in(path: Path, connection: Connection) -> None:
    """
    Copy the ledger in the SQLite file *path* into the empty tables at the
    other end of *connection*, in its transaction.

    Raises:
        UnavailableError: The file cannot be read.
        OperatorError: There is something in a table already.
    """
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    with contextlib.closing(db):
        for table in followed_tables():
            _check_is_empty(connection, table)
            for page in _file_pages(db, table):
                connection.execute(insert(table), page)
            _go_on_counting(connection, table)


def _check_is_empty(connection: Connection, table: Table) -> None:
    if connection.scalar(select(func.count()).select_from(table)):
        msg = f"the ledger has something in {table.name} already"
        raise OperatorError(msg, reason="ledger-in-use")


def _file_pages(
    db: sqlite3.Connection, table: Table
) -> Iterator[list[dict[str, Any]]]:
    names = [column.name for column in table.columns]
    try:
        cursor = db.execute(f"SELECT {', '.join(names)} FROM {table.name}")  # noqa: S608
        while page := cursor.fetchmany(PAGE):
            yield [dict(zip(names, row, strict=True)) for row in page]
    except sqlite3.Error as e:
        msg = f"{table.name} cannot be read: {e}"
        raise UnavailableError(msg, reason="store-unreadable") from e


def _go_on_counting(connection: Connection, table: Table) -> None:
    # Rows came with their numbers, of which PostgreSQL has counted none.
    key = list(table.primary_key.columns)
    is_counted = len(key) == 1 and key[0] is table.autoincrement_column
    if connection.dialect.name == "postgresql" and is_counted:
        name = key[0].name
        connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', "  # noqa: S608
                f"'{name}'), coalesce(max({name}), 0) + 1, false) "
                f"FROM {table.name}"
            )
        )
