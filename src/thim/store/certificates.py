"""
The ledger's PCK certificates: packed, never deleted.

A platform's number times `PLACES` and a place make a certificate's number, so
those of a platform lie together.  What was superseded is not current any more.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, insert, select, update

from thim.collateral.platforms import MOST_CERTIFICATES
from thim.collateral.records import pck_crl_key
from thim.errors import MalformedError
from thim.store import archive, packing, schema
from thim.store.instants import to_stored
from thim.store.numbers import PLACES, SERIAL_MASK
from thim.store.packing import Packer
from thim.store.paging import pages, runs
from thim.x509.chain import parse_pem_chain
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.collateral.platforms import Entry, PckRecord, PlatformId
    from thim.intel.names import PckCa


@dataclasses.dataclass(slots=True)
class _Held:
    """A certificate of a platform that is there already."""

    row: int
    tcbm: bytes
    pem: bytes
    is_current: bool


class CertificateTable:
    """
    The table of PCK certificates within one transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._families: dict[tuple[bytes, str, bytes], int] = {}
        self._revoked: dict[PckCa, frozenset[int]] = {}
        self._packer = Packer(read_dictionaries(connection))

    def add(
        self,
        entries: Iterable[Entry],
        rows: Mapping[PlatformId, int],
        known: AbstractSet[PlatformId],
        now: datetime,
    ) -> None:
        """
        Keep the certificates of *entries*, whose platforms' numbers are
        *rows*; those not *known* have none yet.
        """
        given = [entry for entry in entries if entry.certificates]
        if not given:
            return
        self._train([r.pem for e in given for r in e.certificates], now)
        held = self._read_held([rows[e.id] for e in given if e.id in known])
        new: list[dict[str, object]] = []
        currency: list[dict[str, object]] = []
        for entry in given:
            row = rows[entry.id]
            new += self._place(entry, row, held.get(row, []), currency)
        if new:
            self._connection.execute(insert(schema.pck_certificates), new)
        self._set_current(currency)
        self._describe(given, rows, now)

    def some(self, rows: Iterable[int]) -> dict[int, bytes]:
        """
        Return the first current certificate (PEM) of each platform of *rows*
        that has any.
        """
        c = schema.pck_certificates.c
        found: dict[int, bytes] = {}
        for page in pages(self._find_first(rows)):
            query = select(c.id, c.dictionary_id, c.body)
            for row in self._connection.execute(query.where(c.id.in_(page))):
                pem = self._packer.unpack(row.dictionary_id, row.body)
                found[row.id // PLACES] = pem
        return found

    def disown(self, row: int) -> None:
        """
        Have no certificate of a platform current any more.
        """
        c = schema.pck_certificates.c
        self._connection.execute(
            update(schema.pck_certificates)
            .where(c.id >= row * PLACES, c.id < (row + 1) * PLACES)
            .values(is_current=0)
        )

    def _find_first(self, rows: Iterable[int]) -> list[int]:
        c = schema.pck_certificates.c
        found: list[int] = []
        for first, last in runs(sorted(rows)):
            query = (
                select(func.min(c.id))
                .where(
                    c.id >= first * PLACES,
                    c.id < (last + 1) * PLACES,
                    c.is_current == 1,
                )
                .group_by(c.id.op("/")(PLACES))
            )
            found += self._connection.scalars(query).all()
        return found

    def _train(self, bodies: Sequence[bytes], now: datetime) -> None:
        """Train a dictionary, once there is enough to learn from."""
        if self._packer.newest != packing.NONE or len(bodies) < packing.ENOUGH:
            return
        body = packing.train(bodies[: 2 * packing.ENOUGH])
        self._connection.execute(
            insert(schema.dictionaries).values(
                id=1, body=body, trained=to_stored(now)
            )
        )
        self._packer = Packer({1: body})

    def _read_held(self, rows: Iterable[int]) -> dict[int, list[_Held]]:
        table = schema.pck_certificates
        held: dict[int, list[_Held]] = {}
        for first, last in runs(sorted(rows)):
            query = select(table).where(
                table.c.id >= first * PLACES, table.c.id < (last + 1) * PLACES
            )
            for row in self._connection.execute(query.order_by(table.c.id)):
                one = self._held(row)
                held.setdefault(row.id // PLACES, []).append(one)
        return held

    def _held(self, row: Any) -> _Held:  # noqa: ANN401
        return _Held(
            row=row.id,
            tcbm=row.tcbm,
            pem=self._packer.unpack(row.dictionary_id, row.body),
            is_current=bool(row.is_current),
        )

    def _place(
        self,
        entry: Entry,
        row: int,
        held: Sequence[_Held],
        currency: list[dict[str, object]],
    ) -> list[dict[str, object]]:
        """Write the rows that are new, and whose currency changes."""
        known = {one.pem for one in held}
        new = [r for r in entry.certificates if r.pem not in known]
        if len(held) + len(new) > MOST_CERTIFICATES:
            msg = (
                f"platform {entry.id}: more than {MOST_CERTIFICATES} PCK "
                f"certificates"
            )
            raise MalformedError(msg, reason="pck-certificates")
        outdated = () if entry.is_complete else _find_outdated(entry, held)
        wanted = [r for r in entry.certificates if r not in outdated]
        pems = {record.pem for record in wanted}
        replaced = {r.certificate.tcbm.to_bytes() for r in wanted}
        for one in held:
            is_kept = not entry.is_complete and one.tcbm not in replaced
            is_current = one.pem in pems or (is_kept and one.is_current)
            if is_current != one.is_current:
                currency.append({"row": one.row, "now": int(is_current)})
        first = row * PLACES + len(held)
        return [
            self._row(record, first + i, is_current=record.pem in pems)
            for i, record in enumerate(new)
        ]

    def _row(
        self, record: PckRecord, number: int, *, is_current: bool
    ) -> dict[str, object]:
        certificate = record.certificate
        revoked = self._revoked_by(certificate.ca)
        return {
            "id": number,
            "family_id": self._family_id(record),
            "tcbm": certificate.tcbm.to_bytes(),
            "serial": certificate.serial_number & SERIAL_MASK,
            "not_after": to_stored(certificate.not_after),
            "is_current": int(is_current),
            "is_revoked": int(certificate.serial_number in revoked),
            "dictionary_id": self._packer.newest,
            "body": self._packer.pack(record.pem),
        }

    def _family_id(self, record: PckRecord) -> int:
        certificate = record.certificate
        names = (certificate.fmspc, certificate.ca.value, record.issuer_chain)
        if names not in self._families:
            chain_id = archive.find_chain_id(self._connection, names[2])
            self._families[names] = self._find_family(*names[:2], chain_id)
        return self._families[names]

    def _find_family(self, fmspc: bytes, ca: str, chain_id: int) -> int:
        table = schema.pck_families
        names = {"fmspc": fmspc, "ca": ca, "chain_id": chain_id}
        found = self._connection.scalar(select(table.c.id).filter_by(**names))
        if found is not None:
            return int(found)
        added = insert(table).values(names).returning(table.c.id)
        return int(self._connection.scalars(added).one())

    def _revoked_by(self, ca: PckCa) -> frozenset[int]:
        if ca not in self._revoked:
            body = archive.find_head_body(self._connection, pck_crl_key(ca))
            self._revoked[ca] = (
                frozenset() if body is None else Crl.from_der(body).revoked
            )
        return self._revoked[ca]

    def _set_current(self, changes: Sequence[dict[str, object]]) -> None:
        table = schema.pck_certificates
        if changes:
            self._connection.execute(
                update(table)
                .where(table.c.id == bindparam("row"))
                .values(is_current=bindparam("now")),
                changes,
            )

    def _describe(
        self,
        entries: Iterable[Entry],
        rows: Mapping[PlatformId, int],
        now: datetime,
    ) -> None:
        """Write down what the certificates say of their platforms."""
        values = []
        for entry in entries:
            first = entry.certificates[0].certificate
            values.append(
                {
                    "row": rows[entry.id],
                    "fmspc": first.fmspc,
                    "ca": first.ca.value,
                    "cached_keys": first.cached_keys,
                    "looked": to_stored(now),
                }
            )
        table = schema.platforms
        names = ("fmspc", "ca", "cached_keys", "looked")
        self._connection.execute(
            update(table)
            .where(table.c.id == bindparam("row"))
            .values({name: bindparam(name) for name in names}),
            values,
        )


def _find_outdated(entry: Entry, held: Iterable[_Held]) -> list[PckRecord]:
    """
    Find which certificates of *entry* were issued before the current one for
    the same TCB.
    """
    since: dict[bytes, datetime] = {}
    given = {record.pem for record in entry.certificates}
    for one in held:
        if one.is_current and one.pem not in given:
            leaf = parse_pem_chain(one.pem)[0]
            since[one.tcbm] = leaf.not_valid_before_utc
    return [
        record
        for record in entry.certificates
        if (tcbm := record.certificate.tcbm.to_bytes()) in since
        and record.certificate.not_before < since[tcbm]
    ]


def read_dictionaries(connection: Connection) -> dict[int, bytes]:
    """
    Read the dictionaries that certificates are packed with.
    """
    table = schema.dictionaries
    rows = connection.execute(select(table.c.id, table.c.body))
    return {row.id: row.body for row in rows}


def mark_revoked(connection: Connection, ca: PckCa, der: bytes) -> None:
    """
    Flag the certificates of *ca* that its CRL in *der* lists, and no others
    of it.
    """
    c, f = schema.pck_certificates, schema.pck_families
    families = select(f.c.id).where(f.c.ca == ca.value)
    if connection.scalar(families.limit(1)) is None:
        return
    crl = Crl.from_der(der)
    connection.execute(
        update(c)
        .where(c.c.is_revoked == 1, c.c.family_id.in_(families))
        .values(is_revoked=0)
    )
    serials = [serial & SERIAL_MASK for serial in crl.revoked]
    for page in pages(serials):
        connection.execute(
            update(c)
            .where(c.c.serial.in_(page), c.c.family_id.in_(families))
            .values(is_revoked=1)
        )
