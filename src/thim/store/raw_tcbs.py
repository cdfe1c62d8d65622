"""
The raw TCBs of the ledger's platforms.

Those that came with a registration are kept with the platform.  Those that
callers asked with are noted beside it, since anybody can ask with any: they
have their answers prepared, and give way to newer ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, select, update

from thim.collateral.platforms import MOST_RAW_TCBS, PlatformId
from thim.store import schema
from thim.store.numbers import answer_key, split_raw_tcbs
from thim.store.paging import pages
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from thim.intel.pck import PckTcbm

#: So many that callers asked with are noted of one platform.
MOST_NOTED: Final = 16


def pack(raw_tcbs: Iterable[PckTcbm]) -> bytes:
    """
    Write raw TCBs into one value, each once, the last `MOST_RAW_TCBS`.
    """
    return b"".join(_spell(raw_tcbs)[-MOST_RAW_TCBS:])


def add_raw_tcbs(
    connection: Connection, added: Mapping[int, Iterable[PckTcbm]]
) -> None:
    """
    Add to the raw TCBs that platforms (by their numbers) came with; those that
    were there first give way.
    """
    changed: list[dict[str, object]] = []
    for platform, row, packed, _ in _read(connection, list(added)):
        before = split_raw_tcbs(packed)
        after = list(dict.fromkeys([*before, *_spell(added[row])]))
        if after != before:
            forget_answers(connection, platform, after[:-MOST_RAW_TCBS])
            raw_tcbs = b"".join(after[-MOST_RAW_TCBS:])
            changed.append({"row": row, "packed": raw_tcbs})
    if changed:
        table = schema.platforms
        connection.execute(
            update(table)
            .where(table.c.id == bindparam("row"))
            .values(raw_tcbs=bindparam("packed")),
            changed,
        )


def note_raw_tcbs(
    connection: Connection, noted: Mapping[int, PckTcbm]
) -> list[PlatformId]:
    """
    Note a raw TCB that somebody asked with, of each of the platforms with
    these numbers.  Returns for whom it is new.
    """
    platforms: list[PlatformId] = []
    values: list[dict[str, object]] = []
    for platform, row, packed, before in _read(connection, list(noted)):
        raw_tcb = noted[row].to_bytes()
        if raw_tcb in split_raw_tcbs(packed) or raw_tcb in before:
            continue
        after = [*before, raw_tcb]
        forget_answers(connection, platform, after[:-MOST_NOTED])
        raw_tcbs = b"".join(after[-MOST_NOTED:])
        values.append({"platform_id": row, "raw_tcbs": raw_tcbs})
        platforms.append(platform)
    if values:
        statement = upsert(schema.noted_raw_tcbs)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["platform_id"],
                set_={"raw_tcbs": statement.excluded.raw_tcbs},
            ),
            values,
        )
    return platforms


def forget_raw_tcbs(connection: Connection, row: int) -> None:
    """
    Forget the answers at all raw TCBs of a platform, and those that were
    noted.
    """
    for platform, _, packed, noted in _read(connection, [row]):
        forget_answers(connection, platform, split_raw_tcbs(packed) + noted)
    table = schema.noted_raw_tcbs
    connection.execute(delete(table).where(table.c.platform_id == row))


def forget_answers(
    connection: Connection, platform: PlatformId, raw_tcbs: Iterable[bytes]
) -> None:
    """
    Forget which certificates answer for *platform* at *raw_tcbs*.
    """
    table = schema.pck_answers
    for raw in raw_tcbs:
        key, digest = answer_key(platform.qe_id, platform.pce_id, raw)
        connection.execute(
            delete(table).where(table.c.key == key, table.c.digest == digest)
        )


def _read(
    connection: Connection, rows: Sequence[int]
) -> Iterable[tuple[PlatformId, int, bytes, list[bytes]]]:
    p, n = schema.platforms, schema.noted_raw_tcbs
    for page in pages(rows):
        query = (
            select(p.c.id, p.c.qe_id, p.c.pce_id, p.c.raw_tcbs, n.c.raw_tcbs)
            .select_from(p)
            .outerjoin(n, n.c.platform_id == p.c.id)
            .where(p.c.id.in_(page))
        )
        for row, qe_id, pce_id, packed, noted in connection.execute(
            query
        ).all():
            platform = PlatformId(qe_id, pce_id)
            yield platform, row, packed, split_raw_tcbs(noted or b"")


def _spell(raw_tcbs: Iterable[PckTcbm]) -> list[bytes]:
    return list(dict.fromkeys(raw.to_bytes() for raw in raw_tcbs))
