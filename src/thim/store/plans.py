"""
What is planned to be asked of the vendors: which targets are kept fresh, and
when each is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, or_, select, update

from thim.collateral.amd_keys import AMD_TARGETS, VCEK_TARGETS
from thim.collateral.targets import PCK_TARGETS
from thim.store import schema
from thim.store.instants import to_stored
from thim.store.upsert import earlier, upsert


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Connection

    from thim.collateral.targets import Target


class Plans:
    """
    What the ledger has planned; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def promise(self, due: Mapping[Target, datetime]) -> None:
        """
        Keep exactly the targets of *due* fresh from now on, beside what looks
        after itself: PCK certificates, VCEKs, and what else of AMD's somebody
        waits for.

        A target that is new on the agenda is first asked for at its instant,
        or one that has never been asked for, if that is earlier; any other
        keeps its own.
        """
        table = schema.targets
        names = {str(target): to_stored(at) for target, at in due.items()}
        with self._transaction() as connection:
            rows = connection.execute(
                select(table.c.name, table.c.due, table.c.attempted).where(
                    table.c.due.is_not(None),
                    *map(_is_outside, (PCK_TARGETS, VCEK_TARGETS)),
                )
            ).all()
            before = {row.name for row in rows if not _is_amd(row.name)}
            for name in before - names.keys():
                connection.execute(
                    update(table).where(table.c.name == name).values(due=None)
                )
            for row in rows:
                wanted = names.pop(row.name, None)
                if wanted is None or row.attempted is not None:
                    continue
                if wanted < row.due:  # planned by a clock that was ahead
                    names[row.name] = wanted
            for name, at in names.items():
                connection.execute(_upsert_due({"name": name, "due": at}))

    def reopen(self, now: datetime) -> None:
        """
        Begin anew with what failed: whoever starts a service or asks by hand
        may have mended it.

        Addresses that were left alone may be asked once more, and what could
        not be had is due.
        """
        with self._transaction() as connection:
            connection.execute(
                update(schema.addresses).values(closed_until=None)
            )
            table = schema.targets
            connection.execute(
                update(table)
                .where(
                    table.c.failures > 0,
                    table.c.absent_until.is_(None),
                    table.c.due > to_stored(now),
                )
                .values(due=to_stored(now))
            )

    def prune(self, before: datetime) -> None:
        """
        Forget what callers had asked for once, what came of it, and nobody has
        asked for since *before*: callers can name more than there is.
        """
        table = schema.targets
        last = func.coalesce(table.c.absent_until, table.c.attempted, 0)
        leased = func.coalesce(table.c.leased_until, 0)
        with self._transaction() as connection:
            connection.execute(
                delete(table).where(
                    table.c.due.is_(None),
                    leased < to_stored(before),
                    last < to_stored(before),
                )
            )

    def hasten(self, targets: Iterable[Target], now: datetime) -> None:
        """
        Have *targets* asked for at once, whatever was planned.

        Also where somebody is asking: he began before something has changed.
        """
        values = {
            "due": to_stored(now),
            "absent_until": None,
            "leased_by": None,
            "leased_until": None,
        }
        rows = [{"name": str(target), **values} for target in targets]
        statement = upsert(schema.targets).on_conflict_do_update(
            index_elements=["name"], set_=values
        )
        with self._transaction() as connection:
            if rows:
                connection.execute(statement, rows)

    def ask_for(self, target: Target, now: datetime) -> None:
        """
        Have *target* asked for from *now* on, and keep it fresh.
        """
        table = schema.targets
        at = to_stored(now)
        with self._transaction() as connection:
            connection.execute(
                upsert(table)
                .values(name=str(target), due=at)
                .on_conflict_do_update(
                    index_elements=["name"],
                    set_={"due": earlier(func.coalesce(table.c.due, at), at)},
                )
            )

    def reschedule(self, due: Mapping[Target, datetime]) -> None:
        """
        Have targets whose documents have just come asked for at their instant,
        whatever was planned, if they are kept fresh at all.
        """
        table = schema.targets
        rows = [
            {"target": str(target), "at": to_stored(at)}
            for target, at in due.items()
        ]
        statement = (
            update(table)
            .where(
                table.c.name == bindparam("target"), table.c.due.is_not(None)
            )
            .values(due=bindparam("at"))
        )
        with self._transaction() as connection:
            if rows:
                connection.execute(statement, rows)

    def plan(self, target: Target, due: datetime, now: datetime) -> None:
        """
        Keep *target* fresh from now on, which was asked for just *now*, by
        this name or another; have it asked for at *due*, if nothing else is
        planned.
        """
        table = schema.targets
        values: dict[str, Any] = {
            "due": to_stored(due),
            "attempted": to_stored(now),
            "absent_until": None,
        }
        planned = func.coalesce(table.c.due, values["due"])
        with self._transaction() as connection:
            connection.execute(
                upsert(table)
                .values(name=str(target), **values)
                .on_conflict_do_update(
                    index_elements=["name"], set_={**values, "due": planned}
                )
            )

    def advance(
        self, targets: Iterable[Target], now: datetime, rest: timedelta
    ) -> None:
        """
        Have those of *targets* asked for at once that are kept fresh anyhow,
        and have been left in peace for *rest*.
        """
        table = schema.targets
        at = to_stored(now)
        with self._transaction() as connection:
            for target in targets:
                connection.execute(
                    update(table)
                    .where(
                        table.c.name == str(target),
                        table.c.due > at,
                        func.coalesce(table.c.attempted, 0)
                        <= to_stored(now - rest),
                    )
                    .values(due=at)
                )


def _is_amd(name: str) -> bool:
    return AMD_TARGETS[0] <= name < AMD_TARGETS[1]


def _is_outside(names: tuple[str, str]) -> ColumnElement[bool]:
    name = schema.targets.c.name
    return or_(name < names[0], name >= names[1])


def _upsert_due(row: Mapping[str, object]) -> Any:  # noqa: ANN401
    return (
        upsert(schema.targets)
        .values(row)
        .on_conflict_do_update(
            index_elements=["name"], set_={"due": row["due"]}
        )
    )
