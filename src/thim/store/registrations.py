"""
Registrations as PCCS's tools see them: what was asked for, and what came of
it.

Whoever reads new ones has them hidden from the next reader, as PCCS does, but
nothing is lost: a row is kept, and shown again when it is registered again.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from thim.collateral.platforms import PlatformId, RegistrationState
from thim.intel.pck import PckTcbm
from thim.store import schema
from thim.store.instants import from_stored, to_stored
from thim.store.numbers import PLACES, answer_key
from thim.store.paging import pages
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection, Select

#: Who is registered by a manifest names no raw TCB.
_NONE: Final = b""
_OPEN: Final = (
    RegistrationState.NEW.value,
    RegistrationState.NOT_AVAILABLE.value,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """
    A registration: *raw_tcb* is None where a manifest was brought.

    *enc_ppid* and *manifest* (sealed) are the platform's.  *listed* is when it
    was last handed out.
    """

    platform: PlatformId
    raw_tcb: PckTcbm | None
    state: RegistrationState
    actor: str
    requested: datetime
    updated: datetime
    listed: datetime | None
    reason: str | None
    detail: str | None
    enc_ppid: bytes | None = dataclasses.field(repr=False)
    manifest: bytes | None = dataclasses.field(repr=False)


class Registrations:
    """
    What a ledger knows of registrations; get it from ``Ledger.registrations``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def add(
        self,
        platform: int,
        raw_tcb: PckTcbm | None,
        *,
        actor: str,
        at: datetime,
        is_done: bool = False,
    ) -> None:
        """
        Write down that *platform* (its number) was registered, once more
        perhaps: it is new unless it *is_done*, and listed again.
        """
        state = RegistrationState.DONE if is_done else RegistrationState.NEW
        packed, requested = _NONE, to_stored(at)
        with self._transaction() as connection:
            if raw_tcb is None:
                requested = max(requested, _after_look(connection, platform))
            else:
                packed = raw_tcb.to_bytes()
            row = {
                "platform_id": platform,
                "raw_tcb": packed,
                "state": state.value,
                "actor": actor,
                "requested": requested,
                "updated": to_stored(at),
            }
            again = {**row, "listed": None, "reason": None, "detail": None}
            statement = upsert(schema.registrations).values(row)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["platform_id", "raw_tcb"], set_=again
                )
            )

    def mark_unavailable(
        self, platform: PlatformId, *, reason: str, detail: str, at: datetime
    ) -> None:
        """
        Write down that the vendor has no certificate for what is new of
        *platform*.
        """
        p, table = schema.platforms, schema.registrations
        row = select(p.c.id).where(
            p.c.qe_id == platform.qe_id, p.c.pce_id == platform.pce_id
        )
        with self._transaction() as connection:
            connection.execute(
                update(table)
                .where(table.c.platform_id == row.scalar_subquery())
                .where(table.c.state == RegistrationState.NEW.value)
                .values(
                    state=RegistrationState.NOT_AVAILABLE.value,
                    reason=reason,
                    detail=detail,
                    updated=to_stored(at),
                )
            )

    def settle(self, platforms: Sequence[int], at: datetime) -> int:
        """
        Find what is not done yet of *platforms* (their numbers) and has its
        certificate by now; return how many that were.

        By raw TCB: there is an answer for it.  By manifest: the vendor has
        given certificates since.
        """
        table = schema.registrations
        done: list[int] = []
        with self._transaction() as connection:
            for page in pages(platforms):
                is_open = table.c.state.in_(_OPEN)
                query = _select().where(table.c.platform_id.in_(page), is_open)
                rows = connection.execute(query).all()
                done += [row.id for row in rows if _is_done(connection, row)]
            for page in pages(done):
                connection.execute(
                    update(table)
                    .where(table.c.id.in_(page))
                    .values(
                        state=RegistrationState.DONE.value,
                        updated=to_stored(at),
                    )
                )
        return len(done)

    def find(
        self, platform: PlatformId, raw_tcb: PckTcbm | None
    ) -> Registration | None:
        """
        Find one registration.
        """
        packed = _NONE if raw_tcb is None else raw_tcb.to_bytes()
        p = schema.platforms.c
        query = _select().where(
            schema.registrations.c.raw_tcb == packed,
            p.qe_id == platform.qe_id,
            p.pce_id == platform.pce_id,
        )
        with self._transaction() as connection:
            row = connection.execute(query).first()
        return None if row is None else _registration(row)

    def all(self) -> list[Registration]:
        """
        Return every registration, listed or not, the oldest first.
        """
        with self._transaction() as connection:
            rows = connection.execute(_select())
            return [_registration(row) for row in rows]

    def take(
        self, state: RegistrationState, at: datetime, most: int
    ) -> list[Registration]:
        """
        Return those of *state* that were not listed since they were last
        registered, *most* of them, and note that they are listed now.
        """
        table = schema.registrations
        query = (
            _select()
            .where(table.c.state == state.value, table.c.listed.is_(None))
            .limit(most)
        )
        with self._transaction() as connection:
            rows = connection.execute(query).all()
            for page in pages([row.id for row in rows]):
                connection.execute(
                    update(table)
                    .where(table.c.id.in_(page))
                    .values(listed=to_stored(at))
                )
        return [_registration(row) for row in rows]


def _after_look(connection: Connection, platform: int) -> int:
    """Return the instant after the last certificates came."""
    table = schema.platforms
    query = select(table.c.looked).where(table.c.id == platform)
    looked = connection.scalar(query)
    return 0 if looked is None else looked + 1


def _select() -> Select[Any]:
    r, p, s = schema.registrations, schema.platforms, schema.platform_secrets
    return (
        select(r, p.c.qe_id, p.c.pce_id, p.c.looked, s.c.enc_ppid, s.c.manifest)
        .select_from(r)
        .join(p, p.c.id == r.c.platform_id)
        .outerjoin(s, s.c.platform_id == p.c.id)
        .order_by(r.c.requested, r.c.id)
    )


def _is_done(connection: Connection, row: Any) -> bool:  # noqa: ANN401
    c = schema.pck_certificates.c
    if row.raw_tcb == _NONE:
        first = row.platform_id * PLACES
        is_new = row.looked is not None and row.looked >= row.requested
        query = select(c.id).where(c.id >= first, c.id < first + PLACES)
        return is_new and connection.execute(query.limit(1)).first() is not None
    key, digest = answer_key(row.qe_id, row.pce_id, row.raw_tcb)
    a = schema.pck_answers.c
    found: Sequence[bytes] = connection.scalars(
        select(a.digest).where(a.key == key)
    ).all()
    return digest in found


def _registration(row: Any) -> Registration:  # noqa: ANN401
    return Registration(
        platform=PlatformId(row.qe_id, row.pce_id),
        raw_tcb=PckTcbm.from_bytes(row.raw_tcb) if row.raw_tcb else None,
        state=RegistrationState(row.state),
        actor=row.actor,
        requested=from_stored(row.requested),
        updated=from_stored(row.updated),
        listed=None if row.listed is None else from_stored(row.listed),
        reason=row.reason,
        detail=row.detail,
        enc_ppid=row.enc_ppid,
        manifest=row.manifest,
    )
