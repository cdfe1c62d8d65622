"""
The agenda: what is to be asked of the vendors, by whom, and how often.

All workers of all nodes share it through the ledger.  A *lease* on a target
makes sure that one of them asks; a *budget* and a *breaker* for each vendor
address make sure that together they do not ask too often, nor ask who does not
answer.  A lease ends by itself, so that nobody's death blocks a target.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, case, delete, insert, literal, or_, select, update

from thim.collateral.amd_keys import longest_plan
from thim.collateral.targets import CLOCK_SKEW, LONGEST_LEASE
from thim.store import schema
from thim.store.budget import refused_until, spend_one
from thim.store.instants import from_stored, to_stored
from thim.store.plans import Plans
from thim.store.upsert import upsert


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from thim.collateral.targets import Target
    from thim.store.budget import Budget

#: A detail is for people to read; a hostile answer must not fill the store.
_DETAIL_SIZE: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Since:
    """When a target was last asked for, as far as somebody knew; or never."""

    attempted: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """
    How asking for a target went.

    *due* is when to ask again, if the target is kept fresh at all, or None if
    it is not to be any more; *answered* whether a document that held came.
    *reason* and *detail* say what went wrong, *absent_until* for how long the
    vendor's word that there is none counts.
    """

    due: datetime | None
    answered: bool
    reason: str | None = None
    detail: str | None = None
    absent_until: datetime | None = None


class Agenda(Plans):
    """
    The agenda of a ledger; get it from ``Ledger.agenda``.
    """

    def claim(  # noqa: PLR0913 - whose, for how long, and under which condition
        self,
        target: Target,
        owner: str,
        *,
        now: datetime,
        until: datetime,
        is_due: bool = False,
        unless_since: Since | None = None,
    ) -> int | None:
        """
        Lease *target* to *owner*, unless somebody else has it: None then.

        With *is_due* only if it is due, with *unless_since* only if nobody
        has asked since: who was slower finds it done.
        Returns how many attempts have failed since the last that did not.
        """
        table = schema.targets
        is_free = or_(
            table.c.leased_until.is_(None),
            table.c.leased_until <= to_stored(now),
            table.c.leased_until > to_stored(now + LONGEST_LEASE),
        )
        lease = {"leased_by": owner, "leased_until": to_stored(until)}
        statement = (
            update(table)
            .where(table.c.name == str(target), is_free)
            .values(lease)
            .returning(table.c.failures)
        )
        if is_due:
            statement = statement.where(
                or_(
                    table.c.due <= to_stored(now),
                    table.c.due > to_stored(now + longest_plan(target)),
                    and_(
                        table.c.due.is_not(None),
                        table.c.attempted > to_stored(now + CLOCK_SKEW),
                    ),
                )
            )
        if unless_since is not None:
            since = _stored(unless_since.attempted)
            statement = statement.where(
                table.c.attempted.is_not_distinct_from(since)
            )
        with self._transaction() as connection:
            if not is_due:
                row = {"name": str(target)}
                connection.execute(
                    upsert(table).values(row).on_conflict_do_nothing()
                )
            failures: int | None = connection.scalar(statement)
        return failures

    def settle(
        self,
        target: Target,
        owner: str,
        settlement: Settlement,
        *,
        now: datetime,
    ) -> None:
        """
        Write down how it went, and end *owner*'s lease.
        """
        table = schema.targets
        values: dict[str, Any] = {
            "attempted": to_stored(now),
            "reason": settlement.reason,
            "detail": settlement.detail and settlement.detail[:_DETAIL_SIZE],
            "failures": 0 if settlement.answered else table.c.failures + 1,
            "absent_until": _stored(settlement.absent_until),
            "leased_by": None,
            "leased_until": None,
            "due": case(
                (table.c.due.is_(None), None),
                else_=literal(_stored(settlement.due), table.c.due.type),
            ),
        }
        if settlement.answered:
            values["answered"] = to_stored(now)
        with self._transaction() as connection:
            connection.execute(
                update(table)
                .where(table.c.name == str(target), table.c.leased_by == owner)
                .values(values)
            )

    def postpone(
        self, target: Target, owner: str, due: datetime | None
    ) -> None:
        """
        End *owner*'s lease without an attempt; ask again at *due*, if the
        target is kept fresh at all, or as was planned where that is None.
        """
        table = schema.targets
        mine = (table.c.name == str(target), table.c.leased_by == owner)
        with self._transaction() as connection:
            if due is not None:
                connection.execute(
                    update(table)
                    .where(*mine, table.c.due.is_not(None))
                    .values(due=to_stored(due))
                )
            connection.execute(
                update(table)
                .where(*mine)
                .values(leased_by=None, leased_until=None)
            )

    def spend(
        self, address: str, budget: Budget, now: datetime
    ) -> datetime | None:
        """
        Take one request out of *address*'s budget.

        Returns None if it may be sent; else the instant before which it may
        not, because the budget is spent or the breaker is open.  Where a
        breaker's time is over, the one who asks next closes it again for a
        budget's interval, so that there is one trial and not a rush.
        """
        table = schema.addresses
        with self._transaction() as connection:
            row = connection.execute(
                select(table).where(table.c.address == address)
            ).first()
            at = to_stored(now)
            if row is None:
                row_values = {"address": address, "free_at": at}
                connection.execute(insert(table).values(row_values))
            elif until := refused_until(row, budget, at):
                return from_stored(until)
            values = spend_one(row, budget, at)
            connection.execute(
                update(table)
                .where(table.c.address == address)
                .values(requests=table.c.requests + 1, **values)
            )
        return None

    def report_answer(
        self, address: str, now: datetime, clock_ahead: float | None
    ) -> None:
        """
        Write down that *address* answered as it should.
        """
        self._write_address(
            address,
            failures=0,
            closed_until=None,
            answered=to_stored(now),
            clock_ahead=None
            if clock_ahead is None
            else round(clock_ahead * 1_000_000),
        )

    def report_failure(
        self,
        address: str,
        now: datetime,
        *,
        reason: str,
        detail: str,
        closed_for: Callable[[int], timedelta | None],
    ) -> None:
        """
        Write down that *address* failed.

        *closed_for* says, from the number of failures in a row, for how long
        nobody is to ask there again; None for not at all.
        """
        table = schema.addresses
        with self._transaction() as connection:
            failures = 1 + int(
                connection.scalar(
                    select(table.c.failures).where(table.c.address == address)
                )
                or 0
            )
            pause = closed_for(failures)
            connection.execute(
                update(table)
                .where(table.c.address == address)
                .values(
                    failures=failures,
                    closed_until=None
                    if pause is None
                    else to_stored(now + pause),
                    failed=to_stored(now),
                    reason=reason,
                    detail=detail[:_DETAIL_SIZE],
                )
            )

    def _write_address(self, address: str, **values: object) -> None:
        table = schema.addresses
        with self._transaction() as connection:
            connection.execute(
                update(table).where(table.c.address == address).values(**values)
            )

    def write_hints(
        self, platforms: Mapping[str, str], *, source: str, now: datetime
    ) -> None:
        """
        Keep the FMSPCs (upper-case hex) of the vendor's unsigned list and
        their platforms, in the place of those before.
        """
        seen = {"seen": to_stored(now), "source": source}
        rows = [
            {"fmspc": fmspc, "platform": platform, **seen}
            for fmspc, platform in platforms.items()
        ]
        with self._transaction() as connection:
            connection.execute(delete(schema.hints))
            if rows:
                connection.execute(insert(schema.hints), rows)


def _stored(instant: datetime | None) -> int | None:
    return None if instant is None else to_stored(instant)
