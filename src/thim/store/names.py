"""
By what those who ask as Intel's PCS is asked name the ledger's platforms.

A name counts more when certificates came by it: what somebody only said may be
another machine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete

from thim.store import schema
from thim.store.numbers import NAMES, PROVEN
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from thim.collateral.platforms import Entry, PlatformId


def write_names(
    connection: Connection,
    entries: Iterable[Entry],
    rows: Mapping[PlatformId, int],
) -> None:
    """
    Write down by what *entries* are named, in the place of what was of the
    same kind and proven as much.
    """
    values = [
        {
            "id": rows[entry.id] * NAMES
            + kind
            + (PROVEN if entry.certificates else 0),
            "digest": digest,
        }
        for entry in entries
        for kind, digest in entry.names.items()
    ]
    if values:
        statement = upsert(schema.platform_names)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["id"],
                set_={"digest": statement.excluded.digest},
            ),
            values,
        )


def forget_names(
    connection: Connection, row: int, *, unproven: bool = False
) -> None:
    """
    Forget by what a platform is named; only what is *unproven* if that is
    set.
    """
    table = schema.platform_names
    first = row * NAMES
    last = first + (PROVEN if unproven else NAMES)
    connection.execute(
        delete(table).where(table.c.id >= first, table.c.id < last)
    )
