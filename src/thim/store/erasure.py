"""
Erasing what nobody needs any more: machines that have left, and who has asked.

Only a few at a time, since whoever wants to write waits meanwhile.  The newest
row of a table stays, because SQLite would give its number once more; it goes
when there is another.  Events stay: they are a chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, exists, func, select, update

from thim.collateral.platforms import PlatformId
from thim.collateral.targets import pck_target
from thim.store import schema
from thim.store.events import add_event
from thim.store.instants import to_stored
from thim.store.names import forget_names
from thim.store.numbers import PLACES
from thim.store.raw_tcbs import forget_raw_tcbs


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Column, Connection, Table

_AFTER_COLON: Final = ";"


class Erasure:
    """
    Erases from a ledger; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def platforms(
        self, before: datetime, most: int, *, actor: str, now: datetime
    ) -> int:
        """
        Erase *most* platforms that were retired *before* an instant, with all
        that is known of them; return how many those were.
        """
        table = schema.platforms
        with self._transaction() as connection:
            rows = _find_retired(connection, table, before, most)
            for row in rows:
                platform = PlatformId(row.qe_id, row.pce_id)
                _forget_told(connection, platform)
                connection.execute(
                    update(table)
                    .where(table.c.replaced_by == row.id)
                    .values(replaced_by=None)
                )
                drop_platform(connection, row.id, platform)
            if rows:
                detail = _spell(len(rows), before)
                add_event(
                    connection, "platform-erase", detail, actor=actor, now=now
                )
        return len(rows)

    def chips(
        self, before: datetime, most: int, *, actor: str, now: datetime
    ) -> int:
        """
        Erase *most* chips that were retired *before* an instant, with their
        VCEKs; return how many those were.
        """
        table = schema.chips
        with self._transaction() as connection:
            rows = _find_retired(connection, table, before, most)
            newest = _find_newest_holder(connection)
            rows = [row for row in rows if row.hw_id != newest]
            for row in rows:
                _drop_keys(connection, row.product, row.hw_id)
                connection.execute(delete(table).where(table.c.id == row.id))
            if rows:
                detail = _spell(len(rows), before)
                add_event(
                    connection, "chip-erase", detail, actor=actor, now=now
                )
        return len(rows)

    def inventory(self, before: datetime) -> int:
        """
        Erase machines that are no platforms here, and of which nobody has told
        since *before*; return how many those were.
        """
        told, p = schema.fleet_tcbs, schema.platforms.c
        is_platform = exists(select(1)).where(
            p.qe_id == told.c.qe_id, p.pce_id == told.c.pce_id
        )
        is_old = told.c.seen < to_stored(before)
        with self._transaction() as connection:
            gone = delete(told).where(is_old, ~is_platform)
            return connection.execute(gone).rowcount

    def sightings(self, before: datetime) -> int:
        """
        Erase strangers and clients that have not asked since *before*; return
        how many those were.
        """
        strangers, clients = schema.strangers, schema.client_numbers
        at = to_stored(before)
        with self._transaction() as connection:
            return sum(
                connection.execute(delete(table).where(seen < at)).rowcount
                for table, seen in (
                    (strangers, strangers.c.last_seen),
                    (clients, clients.c.seen),
                )
            )


def drop_platform(
    connection: Connection, row: int, platform: PlatformId
) -> None:
    """
    Delete the *platform* with the number *row*, and what belongs to it.
    """
    forget_raw_tcbs(connection, row)
    forget_names(connection, row)
    c = schema.pck_certificates.c
    first = row * PLACES
    connection.execute(
        delete(schema.pck_certificates).where(
            c.id >= first, c.id < first + PLACES
        )
    )
    for table in (schema.platform_secrets, schema.registrations):
        connection.execute(delete(table).where(table.c.platform_id == row))
    _drop_target(connection, str(pck_target(platform)))
    p = schema.platforms
    connection.execute(delete(p).where(p.c.id == row))


def _drop_target(connection: Connection, name: str) -> None:
    table = schema.targets
    connection.execute(delete(table).where(table.c.name == name))


def _find_retired(
    connection: Connection, table: Table, before: datetime, most: int
) -> list[Any]:
    query = (
        select(table)
        .where(
            table.c.retired < to_stored(before),
            table.c.id < _newest(table.c.id),
        )
        .order_by(table.c.retired)
        .limit(most)
    )
    return list(connection.execute(query).all())


def _newest(number: Column[Any]) -> Any:  # noqa: ANN401 - an expression
    return select(func.max(number)).scalar_subquery()


def _find_newest_holder(connection: Connection) -> bytes | None:
    keys = schema.endorsement_keys.c
    query = select(keys.holder).where(keys.id == _newest(keys.id))
    holder: bytes | None = connection.scalar(query)
    return holder


def _forget_told(connection: Connection, platform: PlatformId) -> None:
    told = schema.fleet_tcbs
    connection.execute(
        delete(told).where(
            told.c.qe_id == platform.qe_id, told.c.pce_id == platform.pce_id
        )
    )


def _drop_keys(connection: Connection, product: str, hw_id: bytes) -> None:
    keys, targets = schema.endorsement_keys, schema.targets
    its_own = (keys.c.kind == "vcek", keys.c.holder == hw_id)
    connection.execute(delete(keys).where(*its_own, keys.c.product == product))
    name = f"amd/vcek/{product}:{hw_id.hex().upper()}"
    connection.execute(
        delete(targets).where(
            targets.c.name >= f"{name}:",
            targets.c.name < f"{name}{_AFTER_COLON}",
        )
    )


def _spell(count: int, before: datetime) -> str:
    return f"retired before {before:%FT%TZ}: {count}"
