"""
The change feed of a PostgreSQL ledger.

Triggers write down which rows each statement has written, so whatever writes
is followed: thim, a migration, or somebody at a prompt.  Only the names of
rows are kept; followers read the rows themselves, all as of one snapshot.
"""

from __future__ import annotations

import functools

from typing import TYPE_CHECKING, Final

from sqlalchemy import LargeBinary, text

from thim.store import schema
from thim.store.postgresql import WRITER


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Column, Connection, Table

#: What followers listen to.
CHANNEL: Final = "thim_changes"
#: Transition tables are visible to the statements that a function makes up.
_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION thim_note_changes() RETURNS trigger
LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM pg_advisory_xact_lock({WRITER});
  EXECUTE format(
    'INSERT INTO changes (name, key, at) SELECT %L, %s, %s FROM written AS c',
    TG_TABLE_NAME, TG_ARGV[0],
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
  );
  PERFORM pg_notify('{CHANNEL}', '');
  RETURN NULL;
END
$body$
"""  # noqa: S608 - constants only
#: Of an update both: a key may have changed.
_TRIGGERS: Final = {
    "INSERT": ("NEW",),
    "UPDATE": ("OLD", "NEW"),
    "DELETE": ("OLD",),
}


@functools.cache
def followed_tables() -> Sequence[Table]:
    """
    Return the tables of a ledger that replicas have, parents first.
    """
    return tuple(
        table
        for table in schema.metadata.sorted_tables
        if table.name not in schema.OWN_TABLES
    )


def install_feed(connection: Connection) -> None:
    """
    Have all changes of the ledger written down from now on.
    """
    connection.execute(text(_FUNCTION))
    for table in followed_tables():
        for statement in _trigger_statements(table):
            connection.execute(text(statement))


def _trigger_statements(table: Table) -> Iterator[str]:
    key = ", ".join(map(_written_key, table.primary_key.columns))
    argument = f"jsonb_build_array({key})::text".replace("'", "''")
    for operation, sides in _TRIGGERS.items():
        for side in sides:
            name = f"thim_{operation}_{side}".lower()
            yield f"DROP TRIGGER IF EXISTS {name} ON {table.name}"
            yield (
                f"CREATE TRIGGER {name} AFTER {operation} ON {table.name} "
                f"REFERENCING {side} TABLE AS written FOR EACH STATEMENT "
                f"EXECUTE FUNCTION thim_note_changes('{argument}')"
            )


def _written_key(column: Column[object]) -> str:
    if isinstance(column.type, LargeBinary):
        return f"encode(c.{column.name}, 'hex')"
    return f"c.{column.name}"
