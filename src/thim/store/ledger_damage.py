"""
Which tables of a PostgreSQL ledger cannot be read any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from thim.store import schema
from thim.store.node_state import DAMAGED
from thim.store.postgresql import explain, shorten_cause


if TYPE_CHECKING:
    from sqlalchemy import Engine, Table


def find_unreadable(engine: Engine) -> dict[str, str]:
    """
    Have the server read every row of the ledger that *engine* is over; return
    why each table that is damaged cannot be read, by its name.

    Raises:
        UnwritableError: The server is away.
    """
    found: dict[str, str] = {}
    for table in schema.metadata.sorted_tables:
        try:
            _read(engine, table)
        except DBAPIError as e:
            error = explain(e)
            if error.reason != DAMAGED:
                raise error from e
            found[table.name] = shorten_cause(e.orig)
    return found


def _read(engine: Engine, table: Table) -> None:
    # Every column of every row, and nothing of it goes over the network.
    asked = f"SELECT sum(octet_length(c::text)) FROM {table.name} AS c"  # noqa: S608
    with engine.connect() as connection:
        connection.exec_driver_sql(asked).scalar_one()
