"""
Plans as they are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, update

from thim.baseline.definition import Kind
from thim.baseline.rollout import Plan, State, write_body
from thim.errors import ConflictError
from thim.store import schema
from thim.store.events import add_event
from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import Connection

    from thim.baseline.rollout import Body


class ChangePlans:
    """
    The plans of a ledger; get it from ``Ledger.plans``.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def add(
        self, body: Body, *, author: str, reason: str, now: datetime
    ) -> int:
        """
        Keep a plan, and return its number.
        """
        table = schema.plans
        at = to_stored(now)
        with self._transaction() as connection:
            row = connection.execute(
                insert(table)
                .values(
                    body=write_body(body),
                    state=State.PLANNED.value,
                    author=author,
                    reason=reason,
                    created=at,
                    changed=at,
                )
                .returning(table.c.id)
            )
            plan = int(row.scalar_one())
            detail = f"plan {plan}: {body.what}: {reason}"
            add_event(
                connection,
                "plan-make",
                detail,
                actor=author,
                now=now,
                tenant=_find_tenant(body),
            )
        return plan

    def move(
        self,
        plan: Plan,
        state: State,
        *,
        actor: str,
        reason: str,
        now: datetime,
    ) -> None:
        """
        Say that *plan* is in another *state* from now on.

        Raises:
            ConflictError: It is in another state than it was read in.
        """
        table = schema.plans
        with self._transaction() as connection:
            moved = connection.execute(
                update(table)
                .where(table.c.id == plan.id, table.c.state == plan.state.value)
                .values(state=state.value, changed=to_stored(now))
            )
            if moved.rowcount != 1:
                msg = f"plan {plan.id} is not {plan.state.value} any more"
                raise ConflictError(msg, reason="changed-meanwhile")
            detail = f"plan {plan.id}: {plan.body.what}: {reason}"
            action = f"plan-{state.value}"
            add_event(
                connection,
                action,
                detail,
                actor=actor,
                now=now,
                tenant=_find_tenant(plan.body),
            )


def _find_tenant(body: Body) -> str | None:
    """Find whom a plan concerns, if that is one tenant alone."""
    concerned = {
        step.name if step.kind is Kind.TENANT else step.tenant
        for step in body.steps
    }
    return concerned.pop() if len(concerned) == 1 else None
