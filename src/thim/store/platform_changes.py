"""
What an operator changes of a platform; each change is an event too.
"""

from __future__ import annotations

import json

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from thim.collateral.platforms import PlatformId
from thim.errors import MalformedError, NotFoundError
from thim.store import schema
from thim.store.events import add_event
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

MOST_LABELS: Final = 32


class PlatformChanges:
    """
    Changes platforms, each by its number; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

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
            add_event(connection, "platform-name", detail, actor=actor, now=now)

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
            _set(connection, row, {"labels": spell_labels(labels)})
            detail = f"platform {_spell_row(found)}: {_spell_changes(changes)}"
            add_event(
                connection, "platform-label", detail, actor=actor, now=now
            )

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
            add_event(
                connection, "platform-retire", detail, actor=actor, now=now
            )
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
            add_event(
                connection, "platform-reinstate", detail, actor=actor, now=now
            )
        return True

    def replace(self, old: int, new: int, *, actor: str, now: datetime) -> None:
        """
        Have the platform with the number *new* take the place of *old*, which
        is retired.  The name goes over, the labels are copied, each where
        *new* has none.

        Raises:
            MalformedError: They are the same, of another FMSPC or PCK CA, or
                *new* was replaced itself.
        """
        with self._transaction() as connection:
            before = _find_row(connection, old)
            after = _find_row(connection, new)
            _check_replacement(before, after)
            values: dict[str, object] = {
                "retired": to_stored(now),
                "replaced_by": new,
            }
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
            add_event(
                connection, "platform-replace", detail, actor=actor, now=now
            )


def spell_labels(labels: Mapping[str, str] | None) -> str | None:
    """
    Write labels as they are kept.
    """
    return json.dumps(dict(labels), sort_keys=True) if labels else None


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
    for name, was, is_now in _families(before, after):
        if was is not None and is_now is not None and was != is_now:
            msg = (
                f"platform {_spell_row(after)}: {name} {is_now}, expected "
                f"{was} as {_spell_row(before)} has it: a reset of the "
                f"firmware does not change that"
            )
            raise MalformedError(msg, reason="replacement")


def _families(
    before: Any,  # noqa: ANN401
    after: Any,  # noqa: ANN401
) -> Iterator[tuple[str, str | None, str | None]]:
    """Name what a reset leaves as it was, before and after, if known."""
    fmspcs = [row.fmspc and row.fmspc.hex().upper() for row in (before, after)]
    yield "FMSPC", *fmspcs
    yield "PCK CA", before.ca, after.ca


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
