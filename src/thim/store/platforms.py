"""
The ledger's platforms: who they are, and what they were seen with.
"""

from __future__ import annotations

import json

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from thim.collateral.platforms import MOST_RAW_TCBS, PlatformId
from thim.errors import MalformedError, NotFoundError
from thim.store import schema
from thim.store.answers import Selector
from thim.store.certificates import CertificateTable
from thim.store.instants import to_stored
from thim.store.numbers import split_raw_tcbs
from thim.store.paging import pages


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.collateral.platforms import Entry
    from thim.intel.pck import PckTcbm

MOST_LABELS: Final = 32


class Platforms:
    """
    What the ledger knows of platforms; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

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
            _check_names(connection, entries, known)
            new = [entry for entry in entries if entry.id not in known]
            rows = {**known, **_insert_new(connection, new, now)}
            _update_known(connection, entries, known)
            _write_secrets(connection, entries, rows)
            CertificateTable(connection).add(entries, rows, set(known), now)
            Selector(connection).select(list(rows.values()))
        return [rows[entry.id] for entry in entries]

    def look_up(
        self, ids: Sequence[PlatformId]
    ) -> dict[PlatformId, bytes | None]:
        """
        Return one PCK certificate (PEM) of each of the platforms that are
        known, None of those that have no certificate.
        """
        with self._transaction() as connection:
            known = _find_known(connection, ids)
            found = CertificateTable(connection).some(known.values())
        return {one: found.get(row) for one, row in known.items()}

    def rename(
        self, row: int, name: str | None, *, actor: str, now: datetime
    ) -> None:
        """
        Give the platform with the number *row* a name, or take it away.

        Raises:
            MalformedError: Another platform has that name.
        """
        with self._transaction() as connection:
            found = _find_row(connection, row)
            other = _find_named(connection, name)
            if other is not None and other.id != row:
                msg = f"name {name!r}: {_spell_id(other)} has it"
                raise MalformedError(msg, reason="platform-name")
            _set(connection, row, {"name": name})
            detail = f"platform {_spell_row(found)}: name {name!r}"
            _note(connection, "platform-name", detail, actor=actor, now=now)

    def label(
        self,
        row: int,
        changes: Mapping[str, str | None],
        *,
        actor: str,
        now: datetime,
    ) -> None:
        """
        Set labels of the platform with the number *row*; those to be None are
        taken away, and others stay.

        Raises:
            MalformedError: More than a platform can have.
        """
        with self._transaction() as connection:
            found = _find_row(connection, row)
            merged = {**json.loads(found.labels or "{}"), **changes}
            labels = {k: v for k, v in merged.items() if v is not None}
            if len(labels) > MOST_LABELS:
                msg = f"{len(labels)} labels, expected at most {MOST_LABELS}"
                raise MalformedError(msg, reason="labels")
            _set(connection, row, {"labels": _spell_labels(labels)})
            detail = f"platform {_spell_row(found)}: {_spell_changes(changes)}"
            _note(connection, "platform-label", detail, actor=actor, now=now)

    def retire(self, row: int, *, actor: str, now: datetime) -> bool:
        """
        Take the platform with the number *row* out of service; return whether
        that is new.
        """
        with self._transaction() as connection:
            found = _find_row(connection, row)
            if found.retired is not None:
                return False
            _set(connection, row, {"retired": to_stored(now)})
            detail = f"platform {_spell_row(found)}"
            _note(connection, "platform-retire", detail, actor=actor, now=now)
        return True

    def reinstate(self, row: int, *, actor: str, now: datetime) -> bool:
        """
        Put the platform with the number *row* back into service; return
        whether it was out of it.
        """
        with self._transaction() as connection:
            found = _find_row(connection, row)
            if found.retired is None:
                return False
            _set(connection, row, {"retired": None, "replaced_by": None})
            detail = f"platform {_spell_row(found)}"
            _note(
                connection, "platform-reinstate", detail, actor=actor, now=now
            )
        return True

    def replace(self, old: int, new: int, *, actor: str, now: datetime) -> None:
        """
        Have the platform with the number *new* take the place of *old*, which
        is retired; name and labels go over where *new* has none.

        Raises:
            MalformedError: They are the same, or *new* was replaced itself.
        """
        with self._transaction() as connection:
            before = _find_row(connection, old)
            after = _find_row(connection, new)
            _check_replacement(before, after)
            values = {"retired": to_stored(now), "replaced_by": new}
            if after.name is None:
                values["name"] = None
            _set(connection, old, values)
            inherited = {
                name: getattr(before, name)
                for name in ("name", "labels")
                if getattr(after, name) is None
            }
            if inherited:
                _set(connection, new, inherited)
            detail = f"platform {_spell_row(before)} by {_spell_row(after)}"
            _note(connection, "platform-replace", detail, actor=actor, now=now)

    def note_seen(
        self, seen: Mapping[int, datetime], raw_tcbs: Mapping[int, PckTcbm]
    ) -> None:
        """
        Write down when platforms (by their numbers) were last *seen*, and
        *raw_tcbs* that are new; unknown numbers are passed over.
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
            if raw_tcbs:
                _add_raw_tcbs(
                    connection, {row: (raw,) for row, raw in raw_tcbs.items()}
                )
                Selector(connection).select(list(raw_tcbs))


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
        "raw_tcbs": b"".join(_spell(entry.raw_tcbs)[-MOST_RAW_TCBS:]),
        "registered_by": entry.registered_by.value,
        "registered": to_stored(now),
        "name": entry.name,
        "labels": _spell_labels(entry.labels),
    }


def _spell(raw_tcbs: Iterable[PckTcbm]) -> list[bytes]:
    return list(dict.fromkeys(raw.to_bytes() for raw in raw_tcbs))


def _spell_labels(labels: Mapping[str, str] | None) -> str | None:
    return json.dumps(dict(labels), sort_keys=True) if labels else None


def _update_known(
    connection: Connection,
    entries: Iterable[Entry],
    known: Mapping[PlatformId, int],
) -> None:
    again = [entry for entry in entries if entry.id in known]
    _add_raw_tcbs(connection, {known[e.id]: e.raw_tcbs for e in again})
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
            .values({name: bindparam(name) for name in names}),
            rows,
        )


def _changes(entry: Entry) -> dict[str, object]:
    values: dict[str, object] = {"retired": None, "replaced_by": None}
    if entry.name is not None:
        values["name"] = entry.name
    if entry.labels is not None:
        values["labels"] = _spell_labels(entry.labels)
    if entry.enc_ppid is not None or entry.manifest is not None:
        values["registered_by"] = entry.registered_by.value
    return values


def _add_raw_tcbs(
    connection: Connection, added: Mapping[int, Iterable[PckTcbm]]
) -> None:
    table = schema.platforms
    changed: list[dict[str, object]] = []
    for page in pages(list(added)):
        query = select(table.c.id, table.c.raw_tcbs).where(table.c.id.in_(page))
        for row, packed in connection.execute(query):
            before = split_raw_tcbs(packed)
            after = list(dict.fromkeys([*before, *_spell(added[row])]))
            if after != before:
                raw_tcbs = b"".join(after[-MOST_RAW_TCBS:])
                changed.append({"row": row, "packed": raw_tcbs})
    if changed:
        connection.execute(
            update(table)
            .where(table.c.id == bindparam("row"))
            .values(raw_tcbs=bindparam("packed")),
            changed,
        )


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


def _find_row(connection: Connection, row: int) -> Any:  # noqa: ANN401
    table = schema.platforms
    found = connection.execute(select(table).where(table.c.id == row)).first()
    if found is None:
        msg = f"platform number {row} is not known"
        raise NotFoundError(msg, reason="unknown-platform")
    return found


def _find_named(connection: Connection, name: str | None) -> Any:  # noqa: ANN401
    table = schema.platforms
    query = select(table).where(table.c.name == name)
    return None if name is None else connection.execute(query).first()


def _set(
    connection: Connection, row: int, values: Mapping[str, object]
) -> None:
    table = schema.platforms
    connection.execute(
        update(table).where(table.c.id == row).values(dict(values))
    )


def _check_replacement(before: Any, after: Any) -> None:  # noqa: ANN401
    if before.id == after.id:
        msg = f"platform {_spell_row(before)}: cannot replace itself"
        raise MalformedError(msg, reason="replacement")
    if after.replaced_by is not None:
        msg = f"platform {_spell_row(after)}: was replaced itself"
        raise MalformedError(msg, reason="replacement")


def _spell_id(row: Any) -> str:  # noqa: ANN401
    return str(PlatformId(row.qe_id, row.pce_id))


def _spell_row(row: Any) -> str:  # noqa: ANN401
    found = _spell_id(row)
    return f"{row.name} ({found})" if row.name else found


def _spell_changes(changes: Mapping[str, str | None]) -> str:
    pairs = (
        f"without {key}" if value is None else f"{key}={value}"
        for key, value in changes.items()
    )
    return f"labels {', '.join(pairs)}"


def _note(
    connection: Connection,
    action: str,
    detail: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    connection.execute(
        insert(schema.events).values(
            at=to_stored(now), actor=actor, action=action, detail=detail
        )
    )
