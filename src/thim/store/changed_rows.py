"""
What has changed in a PostgreSQL ledger: which rows, as its feed names them,
and how they are now; and putting them into a replica.
"""

from __future__ import annotations

import dataclasses
import functools
import json

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    LargeBinary,
    bindparam,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from thim.store.copying import has_own_rows, upsert_statement
from thim.store.feed import followed_tables


if TYPE_CHECKING:
    import sqlite3

    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Row, Select, Table

#: Keys that are asked for at once.
_PAGE: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChangedRows:
    """
    The changed rows of a *table*: their *keys*, and what is now under those
    that there still are.
    """

    table: Table
    keys: Sequence[tuple[Any, ...]]
    rows: dict[tuple[Any, ...], tuple[Any, ...]]


def read_rows(
    ledger: Connection, changes: Iterable[Row[Any]]
) -> Iterator[ChangedRows]:
    """
    Read the rows that *changes* (rows of the feed, with the *name* of a table
    and a *key*) are about, those of parents first.
    """
    changed = _sort_keys(changes)
    for table in followed_tables():
        keys = changed.get(table.name, [])
        if not keys:
            continue
        rows = {
            key: row
            for page in _pages(keys)
            for key, row in _read_page(ledger, table, page).items()
        }
        yield ChangedRows(table=table, keys=keys, rows=rows)


def write_rows(db: sqlite3.Connection, changed: ChangedRows) -> None:
    """
    Put *changed* rows into the replica *db*.
    """
    table, rows = changed.table, changed.rows
    # All before any: a name that went from one row to another is free.
    is_kept = has_own_rows(table)
    gone = [key for key in changed.keys if not (is_kept and key in rows)]
    _forget(db, table, gone)
    written = [rows[key] for key in changed.keys if key in rows]
    db.executemany(upsert_statement(table), written)


def _sort_keys(
    changes: Iterable[Row[Any]],
) -> dict[str, list[tuple[Any, ...]]]:
    tables = {table.name: table for table in followed_tables()}
    changed: dict[str, dict[tuple[Any, ...], None]] = {}
    for change in changes:
        if change.name not in tables:  # a later release's
            continue
        key = _read_key(tables[change.name], change.key)
        changed.setdefault(change.name, {})[key] = None
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


def _read_page(
    ledger: Connection, table: Table, keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    columns = list(table.columns)
    places = [columns.index(column) for column in table.primary_key.columns]
    asked = {f"key{n}": [key[n] for key in keys] for n, _ in enumerate(places)}
    return {
        tuple(row[place] for place in places): tuple(row)
        for row in ledger.execute(_rows_query(table), asked)
    }


@functools.cache
def _rows_query(table: Table) -> Select[Any]:
    columns = list(table.primary_key.columns)
    # Arrays: of a list PostgreSQL would compare each row with each key.
    arrays = [
        bindparam(f"key{n}", type_=ARRAY(column.type))
        for n, column in enumerate(columns)
    ]
    asked = func.unnest(*arrays).table_valued(*(c.name for c in columns))
    condition = tuple_(*columns).in_(select(asked.render_derived("asked")))
    return select(table).where(condition)
