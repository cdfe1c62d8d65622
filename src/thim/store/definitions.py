"""
Baselines and tenants as they are decided: versions, and what is in force.

Only ever appended to.  Whoever decides says how many decisions about a name
they have seen: of two who decide at once the second is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from thim.baseline.definition import Kind, read_baseline, read_tenant
from thim.errors import ConflictError, NotFoundError
from thim.store import schema
from thim.store.events import add_event
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Table

    from thim.baseline.decided import Definition, Enactment, Promotion


class Definitions:
    """
    The definitions of a ledger; get it from ``Ledger.definitions``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def define(self, definition: Definition) -> None:
        """
        Keep a new version of a baseline or tenant; it is not in force yet.

        Raises:
            MalformedError: It cannot be read.
            ConflictError: Somebody else has defined that version meanwhile.
        """
        table = schema.definitions
        # All are read together: one that cannot be would hide the others.
        is_baseline = definition.kind is Kind.BASELINE
        read = read_baseline if is_baseline else read_tenant
        read(definition.name, definition.version, definition.body)
        with self._transaction() as connection:
            newest = connection.scalar(
                select(func.max(table.c.version)).where(
                    table.c.kind == definition.kind.value,
                    table.c.name == definition.name,
                )
            )
            _check_next(
                f"{definition.kind.value} {definition.name}",
                newest,
                definition.version,
            )
            connection.execute(
                insert(table).values(
                    kind=definition.kind.value,
                    name=definition.name,
                    version=definition.version,
                    body=definition.body,
                    author=definition.author,
                    reason=definition.reason,
                    created=to_stored(definition.created),
                )
            )

    def enact(self, enactment: Enactment) -> None:
        """
        Put a version in force, and write down that it was decided.

        Raises:
            NotFoundError: There is no such version.
            ConflictError: Somebody else has decided meanwhile.
        """
        table = schema.enactments
        what = f"{enactment.kind.value} {enactment.name}"
        with self._transaction() as connection:
            newest = connection.scalar(
                select(func.max(table.c.sequence)).where(
                    table.c.kind == enactment.kind.value,
                    table.c.name == enactment.name,
                )
            )
            _check_next(what, newest, enactment.sequence)
            _check_defined(connection, enactment)
            _insert_enactment(connection, table, enactment)
            whom = f" for {enactment.tenant}" if enactment.tenant else ""
            add_event(
                connection,
                f"{enactment.kind.value}-enact",
                f"{what} version {enactment.version}{whom} from "
                f"{enactment.effective:%FT%TZ}: {enactment.reason}",
                actor=enactment.actor,
                now=enactment.decided,
                tenant=_find_tenant(enactment),
            )

    def promote(self, promotion: Promotion) -> bool:
        """
        Write down that a held baseline comes to another number, and from when
        on that answers; return whether nobody else has done so meanwhile.
        """
        table = schema.promotions
        with self._transaction() as connection:
            newest = connection.scalar(
                select(func.max(table.c.sequence)).where(
                    table.c.baseline == promotion.baseline,
                    table.c.version == promotion.version,
                )
            )
            if promotion.sequence != (newest or 0) + 1:
                return False
            effective = promotion.effective
            connection.execute(
                insert(table).values(
                    baseline=promotion.baseline,
                    version=promotion.version,
                    sequence=promotion.sequence,
                    number=promotion.number,
                    noticed=to_stored(promotion.noticed),
                    effective=effective and to_stored(effective),
                    actor=promotion.actor,
                    reason=promotion.reason,
                )
            )
            when = f"from {effective:%FT%TZ}" if effective else "once approved"
            add_event(
                connection,
                "baseline-promotion",
                f"baseline {promotion.baseline} version {promotion.version} "
                f"at {promotion.number} {when}: {promotion.reason}",
                actor=promotion.actor,
                now=promotion.noticed,
            )
        return True


def _find_tenant(enactment: Enactment) -> str | None:
    is_tenant = enactment.kind is Kind.TENANT
    return enactment.name if is_tenant else enactment.tenant


def _insert_enactment(
    connection: Connection, table: Table, enactment: Enactment
) -> None:
    connection.execute(
        insert(table).values(
            kind=enactment.kind.value,
            name=enactment.name,
            sequence=enactment.sequence,
            version=enactment.version,
            tenant=enactment.tenant,
            effective=to_stored(enactment.effective),
            decided=to_stored(enactment.decided),
            actor=enactment.actor,
            reason=enactment.reason,
            plan_id=enactment.plan,
        )
    )


def _check_defined(connection: Connection, enactment: Enactment) -> None:
    table = schema.definitions
    found = connection.scalar(
        select(table.c.id).where(
            table.c.kind == enactment.kind.value,
            table.c.name == enactment.name,
            table.c.version == enactment.version,
        )
    )
    if found is None:
        msg = (
            f"{enactment.kind.value} {enactment.name!r} has no version "
            f"{enactment.version}"
        )
        raise NotFoundError(msg, reason="unknown-version")


def _check_next(what: str, newest: int | None, given: int) -> None:
    if given != (newest or 0) + 1:
        msg = (
            f"{what} was changed by somebody else meanwhile: nothing was "
            f"done; look at it again"
        )
        raise ConflictError(msg, reason="changed-meanwhile")
