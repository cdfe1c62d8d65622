"""
The ledger's platforms: who they are, and what they were seen with.
"""

from __future__ import annotations

import dataclasses

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    BindParameter,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)

from thim.collateral.platforms import (
    KnownAs,
    PlatformId,
    RegisteredBy,
    Voucher,
)
from thim.errors import MalformedError
from thim.store import schema
from thim.store.answers import Selector
from thim.store.certificates import CertificateTable
from thim.store.instants import to_stored
from thim.store.making_room import make_room
from thim.store.names import forget_names, write_names
from thim.store.paging import pages
from thim.store.platform_changes import PlatformChanges, spell_labels
from thim.store.raw_tcbs import (
    add_raw_tcbs,
    forget_raw_tcbs,
    note_raw_tcbs,
    pack,
)
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.collateral.platforms import Entry
    from thim.intel.pck import PckTcbm


#: What is left of a platform that is forgotten.
_NOTHING: Final[Mapping[str, object]] = {
    "raw_tcbs": b"",
    "fmspc": None,
    "ca": None,
    "cached_keys": None,
    "looked": None,
}


class Platforms(PlatformChanges):
    """
    What the ledger knows of platforms; *transaction* opens one.
    """

    def enter(self, entries: Sequence[Entry], now: datetime) -> list[int]:
        """
        Take *entries* in, all or none, and return the platforms' numbers.

        Whatever an entry does not give stays as it was.

        Args:
            entries: No two of them for the same platform.
            now: The instant.

        Raises:
            MalformedError: A name that another platform has, or more
                certificates than a platform can have.
        """
        with self._transaction() as connection:
            known = _find_known(connection, [entry.id for entry in entries])
            entries = _defer(connection, entries, known)
            _forget_anybodys(connection, entries, known)
            _check_names(connection, entries, known)
            make_room(connection, entries, known)
            new = [entry for entry in entries if entry.id not in known]
            rows = {**known, **_insert_new(connection, new, now)}
            _update_known(connection, entries, known)
            _write_secrets(connection, entries, rows)
            write_names(connection, entries, rows)
            CertificateTable(connection).add(entries, rows, set(known), now)
            Selector(connection).select(list(rows.values()))
        return [rows[entry.id] for entry in entries]

    def look_up(self, ids: Sequence[PlatformId]) -> dict[PlatformId, KnownAs]:
        """
        Return as what those of the platforms are known that are.
        """
        with self._transaction() as connection:
            known = _find_known(connection, ids)
            rows = list(known.values())
            found = CertificateTable(connection).some(rows)
            vouchers = _read_vouchers(connection, rows)
            retired = _find_retired(connection, rows)
        return {
            one: KnownAs(
                certificate=found.get(row),
                voucher=vouchers[row],
                is_retired=row in retired,
            )
            for one, row in known.items()
        }

    def find_row(self, platform: PlatformId) -> int | None:
        """
        Return the number of *platform*, None if it is not known.
        """
        with self._transaction() as connection:
            return _find_known(connection, [platform]).get(platform)

    def disprove(self, platform: PlatformId) -> None:
        """
        Forget by what *platform* is only said to be named: it is another's.
        """
        with self._transaction() as connection:
            for row in _find_known(connection, [platform]).values():
                forget_names(connection, row, unproven=True)

    def note_seen(
        self, seen: Mapping[int, datetime], raw_tcbs: Mapping[int, PckTcbm]
    ) -> list[PlatformId]:
        """
        Write down when platforms (by their numbers) were last *seen*, and
        *raw_tcbs* that are new; unknown numbers are passed over.

        Returns for whom the raw TCB is new.
        """
        at = [{"row": row, "at": to_stored(i)} for row, i in seen.items()]
        table = schema.platforms
        with self._transaction() as connection:
            if at:
                connection.execute(
                    update(table)
                    .where(table.c.id == bindparam("row"))
                    .values(last_seen=bindparam("at")),
                    at,
                )
            changed = note_raw_tcbs(connection, raw_tcbs)
            if raw_tcbs:
                Selector(connection).select(list(raw_tcbs))
        return changed


def _find_known(
    connection: Connection, ids: Sequence[PlatformId]
) -> dict[PlatformId, int]:
    table = schema.platforms
    found: dict[PlatformId, int] = {}
    for page in pages(ids):
        query = select(table.c.id, table.c.qe_id, table.c.pce_id).where(
            table.c.qe_id.in_({one.qe_id for one in page})
        )
        for row, qe_id, pce_id in connection.execute(query):
            found[PlatformId(qe_id, pce_id)] = row
    return {one: found[one] for one in ids if one in found}


def _check_names(
    connection: Connection,
    entries: Iterable[Entry],
    known: Mapping[PlatformId, int],
) -> None:
    named = [entry for entry in entries if entry.name is not None]
    wanted = {entry.name: entry for entry in named}
    if len(wanted) < len(named):
        msg = "two platforms of the same name"
        raise MalformedError(msg, reason="platform-name")
    table = schema.platforms
    for page in pages(list(wanted)):
        query = select(table.c.id, table.c.name).where(table.c.name.in_(page))
        for row, name in connection.execute(query):
            entry = wanted[name]
            if known.get(entry.id) != row:
                msg = f"name {name!r}: another platform than {entry.id} has it"
                raise MalformedError(msg, reason="platform-name")


def _insert_new(
    connection: Connection, new: Sequence[Entry], now: datetime
) -> dict[PlatformId, int]:
    if not new:
        return {}
    table = schema.platforms
    numbers = connection.scalars(
        insert(table).returning(table.c.id, sort_by_parameter_order=True),
        [_new_row(entry, now) for entry in new],
    )
    return dict(zip((e.id for e in new), numbers.all(), strict=True))


def _new_row(entry: Entry, now: datetime) -> dict[str, object]:
    return {
        "qe_id": entry.id.qe_id,
        "pce_id": entry.id.pce_id,
        "raw_tcbs": pack(entry.raw_tcbs),
        "registered_by": entry.registered_by.value,
        "registered": to_stored(now),
        "voucher": _voucher(entry),
        "name": entry.name,
        "labels": spell_labels(entry.labels),
    }


def _defer(
    connection: Connection,
    entries: Sequence[Entry],
    known: Mapping[PlatformId, int],
) -> Sequence[Entry]:
    """
    Leave out what anybody brought of platforms that others stand behind by
    now.
    """
    anybodys = [e.id for e in entries if not e.is_vouched and e.id in known]
    vouchers = _read_vouchers(connection, [known[one] for one in anybodys])
    theirs = {one for one in anybodys if vouchers[known[one]]}
    return [
        dataclasses.replace(
            entry, enc_ppid=None, raw_tcbs=(), certificates=(), names={}
        )
        if entry.id in theirs and not entry.is_vouched
        else entry
        for entry in entries
    ]


def _forget_anybodys(
    connection: Connection,
    entries: Iterable[Entry],
    known: Mapping[PlatformId, int],
) -> None:
    """
    Forget what anybody brought of platforms that others stand behind now.
    """
    p, s = schema.platforms, schema.platform_secrets
    for entry in entries:
        if not entry.is_anew or entry.id not in known:
            continue
        row = known[entry.id]
        connection.execute(delete(s).where(s.c.platform_id == row))
        forget_raw_tcbs(connection, row)
        forget_names(connection, row)
        CertificateTable(connection).disown(row)
        connection.execute(update(p).where(p.c.id == row).values(_NOTHING))


def _voucher(entry: Entry) -> int:
    if not entry.is_vouched:
        return Voucher.ANYBODY
    return Voucher.PROVEN if entry.certificates else Voucher.REGISTERED


def _find_retired(connection: Connection, rows: Sequence[int]) -> set[int]:
    c = schema.platforms.c
    found: set[int] = set()
    for page in pages(rows):
        query = select(c.id).where(c.id.in_(page), c.retired.is_not(None))
        found.update(connection.scalars(query))
    return found


def _read_vouchers(
    connection: Connection, rows: Sequence[int]
) -> dict[int, Voucher]:
    table = schema.platforms
    found: dict[int, Voucher] = {}
    for page in pages(rows):
        query = select(table.c.id, table.c.voucher).where(table.c.id.in_(page))
        for row, voucher in connection.execute(query):
            found[row] = Voucher(voucher)
    return found


def _update_known(
    connection: Connection,
    entries: Iterable[Entry],
    known: Mapping[PlatformId, int],
) -> None:
    again = [entry for entry in entries if entry.id in known]
    add_raw_tcbs(connection, {known[e.id]: e.raw_tcbs for e in again})
    alike: dict[tuple[str, ...], list[dict[str, object]]] = {}
    for entry in again:
        values = _changes(entry)
        values_of_row = {"row": known[entry.id], **values}
        alike.setdefault(tuple(values), []).append(values_of_row)
    table = schema.platforms
    for names, rows in alike.items():
        connection.execute(
            update(table)
            .where(table.c.id == bindparam("row"))
            .values({name: _bound(name) for name in names}),
            rows,
        )


def _bound(name: str) -> object:
    """Write the value of a column that is given by its name."""
    given: BindParameter[object] = bindparam(name)
    if name == "voucher":
        column = schema.platforms.c.voucher
        return case((column > given, column), else_=given)
    if name != "registered_by":
        return given
    # Where there is a manifest the vendor wants that, whatever else came.
    manifest = RegisteredBy.MANIFEST.value
    column = schema.platforms.c.registered_by
    return case((column == manifest, manifest), else_=given)


def _changes(entry: Entry) -> dict[str, object]:
    values: dict[str, object] = {"voucher": _voucher(entry)}
    if entry.is_vouched and entry.is_registration:
        values |= {"retired": None, "replaced_by": None}
    if entry.name is not None:
        values["name"] = entry.name
    if entry.labels is not None:
        values["labels"] = spell_labels(entry.labels)
    if entry.enc_ppid is not None or entry.manifest is not None:
        values["registered_by"] = entry.registered_by.value
    return values


def _write_secrets(
    connection: Connection,
    entries: Iterable[Entry],
    rows: Mapping[PlatformId, int],
) -> None:
    for name in ("enc_ppid", "manifest"):
        values = [
            {"platform_id": rows[entry.id], name: getattr(entry, name)}
            for entry in entries
            if getattr(entry, name) is not None
        ]
        if values:
            statement = upsert(schema.platform_secrets)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["platform_id"],
                    set_={name: statement.excluded[name]},
                ),
                values,
            )
