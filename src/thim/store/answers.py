"""
Which PCK certificate answers for a platform at a raw TCB.

Selected once and looked up by one number: the head of the SHA-256 over QE ID,
PCE ID and raw TCB.  Eight further bytes of it tell apart what has the same
number; whoever comes second then has no entry, and is selected for when asked.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, select

from thim.collateral.platforms import read_floors
from thim.intel.names import Tee
from thim.intel.pck import PckTcbm
from thim.intel.select import find_for, sort_by_floors
from thim.store import schema
from thim.store.numbers import PLACES, answer_key, split_raw_tcbs
from thim.store.paging import pages, runs
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

#: TCB info structures that certificates are selected by.
_STRUCTURES: Final = (2, 3)


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """A certificate of a platform, as far as it is selected by."""

    row: int
    tcbm: PckTcbm


class Selector:
    """
    Selects answers within one transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._floors: dict[bytes, tuple[PckTcbm, ...]] = {}

    def select(self, rows: Sequence[int]) -> None:
        """
        Select for each raw TCB of the platforms with the numbers *rows*.
        """
        found: list[dict[str, object]] = []
        lost: list[tuple[int, bytes]] = []
        certificates = self._read_certificates(rows)
        for platform in self._read_platforms(rows):
            mine = certificates.get(platform.id, [])
            floors = self._floors_of(platform.fmspc) if len(mine) > 1 else ()
            ordered = sort_by_floors(mine, floors)
            packed = platform.raw_tcbs + (platform.noted or b"")
            for raw in dict.fromkeys(split_raw_tcbs(packed)):
                key, digest = answer_key(platform.qe_id, platform.pce_id, raw)
                best = find_for(ordered, PckTcbm.from_bytes(raw))
                if best is None:
                    lost.append((key, digest))
                else:
                    found.append(
                        {
                            "key": key,
                            "digest": digest,
                            "certificate_id": best.row,
                        }
                    )
        self._write(found)
        self._forget(lost)

    def _read_platforms(self, rows: Sequence[int]) -> Iterable[Any]:
        p, n = schema.platforms.c, schema.noted_raw_tcbs.c
        columns = (p.id, p.qe_id, p.pce_id, p.fmspc, p.raw_tcbs)
        for page in pages(rows):
            query = (
                select(*columns, n.raw_tcbs.label("noted"))
                .select_from(schema.platforms)
                .outerjoin(schema.noted_raw_tcbs, n.platform_id == p.id)
                .where(p.id.in_(page))
            )
            yield from self._connection.execute(query)

    def _read_certificates(
        self, rows: Sequence[int]
    ) -> dict[int, list[_Place]]:
        table = schema.pck_certificates
        found: dict[int, list[_Place]] = {}
        for first, last in runs(sorted(rows)):
            query = (
                select(table.c.id, table.c.tcbm)
                .where(
                    table.c.id >= first * PLACES,
                    table.c.id < (last + 1) * PLACES,
                    table.c.is_current == 1,
                )
                .order_by(table.c.id)
            )
            for row, tcbm in self._connection.execute(query):
                place = _Place(row, PckTcbm.from_bytes(tcbm))
                found.setdefault(row // PLACES, []).append(place)
        return found

    def _floors_of(self, fmspc: bytes | None) -> tuple[PckTcbm, ...]:
        if fmspc is None:
            return ()
        if fmspc not in self._floors:
            newest = self.find_newest(fmspc)
            self._floors[fmspc] = () if newest is None else read_floors(newest)
        return self._floors[fmspc]

    def find_newest(self, fmspc: bytes) -> bytes | None:
        """
        Return the body of the SGX TCB info of *fmspc* that is selected by: of
        the highest number, in the newest layout.
        """
        r, s, h = schema.records, schema.series, schema.heads
        body: bytes | None = self._connection.scalar(
            select(r.c.body)
            .select_from(h)
            .join(s, s.c.id == h.c.series_id)
            .join(r, r.c.id == h.c.record_id)
            .where(
                s.c.kind == "tcb-info",
                s.c.subject == f"{Tee.SGX.value.lower()}:{fmspc.hex().upper()}",
                s.c.structure.in_(_STRUCTURES),
            )
            .order_by(s.c.evaluation_number.desc(), s.c.structure.desc())
            .limit(1)
        )
        return body

    def _write(self, found: Sequence[dict[str, object]]) -> None:
        if not found:
            return
        statement = upsert(schema.pck_answers)
        same = schema.pck_answers.c.digest == statement.excluded.digest
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["key"],
                set_={"certificate_id": statement.excluded.certificate_id},
                where=same,
            ),
            found,
        )

    def _forget(self, lost: Sequence[tuple[int, bytes]]) -> None:
        table = schema.pck_answers
        for page in pages(lost):
            mine = dict(page)
            query = select(table.c.key, table.c.digest).where(
                table.c.key.in_(mine)
            )
            theirs = self._connection.execute(query).all()
            keys = [key for key, digest in theirs if mine[key] == digest]
            self._connection.execute(delete(table).where(table.c.key.in_(keys)))

    def is_selected(self, fmspc: bytes, floors: bytes) -> bool:
        """
        Tell whether every answer for *fmspc* is selected by the levels with
        the digest *floors*.
        """
        table = schema.pck_selections
        query = select(func.count()).where(
            table.c.fmspc == fmspc, table.c.floors == floors
        )
        return bool(self._connection.scalar(query))

    def note_selected(self, fmspc: bytes, floors: bytes) -> None:
        """
        Write down that every answer for *fmspc* is selected by the levels
        with the digest *floors*.
        """
        self._connection.execute(
            upsert(schema.pck_selections)
            .values(fmspc=fmspc, floors=floors)
            .on_conflict_do_update(
                index_elements=["fmspc"], set_={"floors": floors}
            )
        )
