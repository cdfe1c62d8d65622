"""
The archive's statements: what one transaction of the ledger does.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, func, insert, select, update

from thim.collateral.records import CollateralKey, Kind, Record, Stamp
from thim.collateral.transition import Transition, transition
from thim.store import schema
from thim.store.instants import from_stored, to_stored
from thim.store.revocation import DECIDING, Revocations, mark_chains


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Table

_PAGE: Final = 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record as it lies in the archive, with its row's number."""

    id: int
    record: Record
    sha256: bytes
    is_head: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A row of the archive that is no record any more."""

    id: int
    detail: str


def add_record(connection: Connection, record: Record) -> Transition:
    """
    Take *record* into its series; see ``Ledger.add``.
    """
    series_id = _series_id(connection, record)
    head_id, head = _find_head(connection, series_id)
    twin = _find_twin(connection, series_id, record.issued)
    verdict = transition(record.stamp, head=head, twin=twin)
    if verdict is Transition.EQUAL:
        _replace_revoked_chain(connection, series_id, record)
    if verdict in {Transition.EQUAL, Transition.FORK}:
        return verdict
    record_id = _insert_record(connection, series_id, record)
    if verdict is Transition.NEWER and not record.is_archive_only:
        _move_head(connection, series_id, head_id, record_id, record.verified)
        if record.key.kind in DECIDING:
            mark_chains(connection, _revocations(connection))
    return verdict


def _is_key(
    key: CollateralKey, number: int | None
) -> tuple[ColumnElement[bool], ...]:
    s = schema.series.c
    return (
        s.vendor == key.vendor,
        s.kind == key.kind.value,
        s.subject == key.subject,
        s.structure == key.structure,
        func.coalesce(s.evaluation_number, -1)
        == (-1 if number is None else number),
    )


def _series_id(connection: Connection, record: Record) -> int:
    found = connection.scalar(
        select(schema.series.c.id).where(
            *_is_key(record.key, record.evaluation_number)
        )
    )
    if found is not None:
        return int(found)
    return _insert(
        connection,
        schema.series,
        vendor=record.key.vendor,
        kind=record.key.kind.value,
        subject=record.key.subject,
        structure=record.key.structure,
        evaluation_number=record.evaluation_number,
    )


def _insert(connection: Connection, table: Table, **values: object) -> int:
    statement = insert(table).values(**values).returning(table.c.id)
    return int(connection.execute(statement).scalar_one())


def _find_head(
    connection: Connection, series_id: int
) -> tuple[int | None, Stamp | None]:
    r, h = schema.records, schema.heads
    row = connection.execute(
        select(r.c.id, r.c.issued, r.c.signed_sha256)
        .join(h, h.c.record_id == r.c.id)
        .where(h.c.series_id == series_id)
    ).first()
    return (None, None) if row is None else (row.id, _stamp(row))


def find_newest(
    connection: Connection, key: CollateralKey, number: int | None
) -> datetime | None:
    """
    Return the issue date of the head of *key* and *number*.
    """
    r, s, h = schema.records, schema.series, schema.heads
    issued = connection.scalar(
        select(r.c.issued)
        .select_from(h)
        .join(s, s.c.id == h.c.series_id)
        .join(r, r.c.id == h.c.record_id)
        .where(*_is_key(key, number))
    )
    return None if issued is None else from_stored(issued)


def _find_twin(
    connection: Connection, series_id: int, issued: datetime
) -> Stamp | None:
    r = schema.records
    row = connection.execute(
        select(r.c.issued, r.c.signed_sha256).where(
            r.c.series_id == series_id, r.c.issued == to_stored(issued)
        )
    ).first()
    return None if row is None else _stamp(row)


def _stamp(row: Any) -> Stamp:  # noqa: ANN401 - a row of any shape
    return Stamp(
        issued=from_stored(row.issued), signed_sha256=row.signed_sha256
    )


def _insert_record(
    connection: Connection, series_id: int, record: Record
) -> int:
    return _insert(
        connection,
        schema.records,
        series_id=series_id,
        issued=to_stored(record.issued),
        next_update=record.next_update and to_stored(record.next_update),
        sha256=record.sha256,
        signed_sha256=record.signed_sha256,
        body=record.body,
        chain_id=find_chain_id(connection, record.issuer_chain),
        source=record.source,
        fetched=to_stored(record.fetched),
        verified=to_stored(record.verified),
    )


def find_chain_id(connection: Connection, pem: bytes) -> int:
    """
    Return the number of the issuer chain *pem*, which is added if it is new.
    """
    table = schema.issuer_chains
    digest = hashlib.sha256(pem).digest()
    found = connection.scalar(
        select(table.c.id).where(table.c.sha256 == digest)
    )
    if found is not None:
        return int(found)
    revoked = int(_revocations(connection).is_revoked(pem))
    return _insert(connection, table, sha256=digest, pem=pem, revoked=revoked)


def _revocations(connection: Connection) -> Revocations:
    return Revocations(functools.partial(find_head_body, connection))


def _replace_revoked_chain(
    connection: Connection, series_id: int, record: Record
) -> None:
    # A key may have several certificates: a document that came under one that
    # is revoked since is as good under another.
    r, c = schema.records, schema.issuer_chains
    revoked = select(c.c.id).where(c.c.revoked == 1)
    connection.execute(
        update(r)
        .where(
            r.c.series_id == series_id,
            r.c.issued == to_stored(record.issued),
            r.c.chain_id.in_(revoked),
        )
        .values(chain_id=find_chain_id(connection, record.issuer_chain))
    )


def _move_head(
    connection: Connection,
    series_id: int,
    expected: int | None,
    record_id: int,
    now: datetime,
) -> None:
    h = schema.heads
    if expected is None:
        connection.execute(
            insert(h).values(series_id=series_id, record_id=record_id)
        )
    else:
        moved = connection.execute(
            update(h)
            .where(h.c.series_id == series_id, h.c.record_id == expected)
            .values(record_id=record_id)
        )
        if moved.rowcount != 1:
            msg = f"head of series {series_id} moved under a transaction"
            raise RuntimeError(msg)
    connection.execute(
        insert(schema.head_moves).values(
            series_id=series_id, record_id=record_id, moved=to_stored(now)
        )
    )


def _stored_or_damaged(row: Any) -> Stored | Damaged:  # noqa: ANN401
    try:
        return _stored(row)
    except (ValueError, OverflowError, TypeError) as e:
        return Damaged(id=row.id, detail=str(e))


def _stored(row: Any) -> Stored:  # noqa: ANN401
    return Stored(
        id=row.id,
        sha256=row.sha256,
        is_head=row.head is not None,
        record=Record(
            key=CollateralKey(
                vendor=row.vendor,
                kind=Kind(row.kind),
                subject=row.subject,
                structure=row.structure,
            ),
            evaluation_number=row.evaluation_number,
            body=row.body,
            issuer_chain=row.pem,
            issued=from_stored(row.issued),
            next_update=None
            if row.next_update is None
            else from_stored(row.next_update),
            signed_sha256=row.signed_sha256,
            source=row.source,
            fetched=from_stored(row.fetched),
            verified=from_stored(row.verified),
        ),
    )


def find_head_body(connection: Connection, key: CollateralKey) -> bytes | None:
    """
    Return the body of the head of *key*, which has no evaluation number.
    """
    r, s, h = schema.records, schema.series, schema.heads
    body: bytes | None = connection.scalar(
        select(r.c.body)
        .select_from(h)
        .join(s, s.c.id == h.c.series_id)
        .join(r, r.c.id == h.c.record_id)
        .where(*_is_key(key, None))
    )
    return body


def read_page(connection: Connection, after: int) -> Sequence[Stored | Damaged]:
    """
    Read the next records behind row *after*, also those that make no sense.
    """
    r, s = schema.records, schema.series
    c, h = schema.issuer_chains, schema.heads
    query = (
        select(
            r,
            s.c.vendor,
            s.c.kind,
            s.c.subject,
            s.c.structure,
            s.c.evaluation_number,
            c.c.pem,
            h.c.record_id.label("head"),
        )
        .select_from(r)
        .join(s, s.c.id == r.c.series_id)
        .join(c, c.c.id == r.c.chain_id)
        .outerjoin(h, h.c.record_id == r.c.id)
        .where(r.c.id > after)
        .order_by(r.c.id)
        .limit(_PAGE)
    )
    return [_stored_or_damaged(row) for row in connection.execute(query)]


def read_chains(connection: Connection) -> Sequence[tuple[bytes, bool]]:
    """
    Read each issuer chain (PEM) and whether it is marked as revoked.
    """
    table = schema.issuer_chains
    rows = connection.execute(select(table.c.pem, table.c.revoked))
    return [(row.pem, bool(row.revoked)) for row in rows]


def read_amd_chains(
    connection: Connection, *, revoked: bool
) -> Sequence[bytes]:
    """
    Read AMD's chains (PEM), those that are *revoked* or those that are not,
    the newest first.
    """
    r, s, c = schema.records, schema.series, schema.issuer_chains
    query = (
        select(c.c.pem)
        .select_from(r)
        .join(s, s.c.id == r.c.series_id)
        .join(c, c.c.id == r.c.chain_id)
        .where(s.c.kind == Kind.CERT_CHAIN.value, c.c.revoked == int(revoked))
        .order_by(r.c.issued.desc())
    )
    return connection.scalars(query).all()
