"""
What is to be said of a plan, beyond what it says itself: what its steps change,
and which tenants they concern.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any

from thim.baseline.definition import Kind
from thim.baseline.model import ROOT
from thim.baseline.rollout import State, check_fits
from thim.baseline.rule import spell_hold, spell_rule
from thim.errors import ConflictError
from thim.services.moves import list_plan_moves


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.rollout import Plan, Step
    from thim.services.moves import Move
    from thim.store.replica import Replica


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NextStage:
    """
    What can be done with a plan: *moves* are what its next stage does, with all
    that follows, none where it is through; *trouble* is why it does not fit any
    more.
    """

    moves: Sequence[Move] = ()
    trouble: str | None = None


def find_next_stage(replica: Replica, plan: Plan, now: datetime) -> NextStage:
    """
    Find what is still to be done by *plan*.
    """
    if plan.state is State.ROLLED_BACK:
        return NextStage()
    try:
        check_fits(plan, replica.book())
    except ConflictError as e:
        return NextStage(trouble=str(e))
    if plan.state is State.APPLIED:
        return NextStage()
    steps: Sequence[Step] = plan.body.steps
    if plan.state is State.CANARY:
        _, steps = plan.next_steps()
    moves = list_plan_moves(replica, plan, steps, now)
    if plan.state is State.CANARY:  # who is there already goes nowhere
        done = {step.tenant or step.name for step in plan.canaries}
        moves = [move for move in moves if move.tenant.name not in done]
    return NextStage(moves=moves)


def describe_step(book: Book, step: Step) -> dict[str, Any]:
    """
    Say what *step* changes: what there is *before* it and *after* it, in the
    words of a definition.
    """
    return {
        "what": f"{step.kind.value} {step.name}",
        "for": step.tenant or ("everybody" if _is_baseline(step) else None),
        "is_canary": step.is_canary,
        "version": step.version,
        "before": _spell(book, step, step.before),
        "after": _spell(book, step, step.version),
    }


def _is_baseline(step: Step) -> bool:
    return step.kind is Kind.BASELINE


def _spell(book: Book, step: Step, version: int | None) -> str | None:
    if version is None:
        return None
    if _is_baseline(step):
        return _spell_baseline(book, step.name, version)
    is_shipped = version == 0 and step.name == ROOT.name
    tenant = ROOT if is_shipped else book.read_tenant(step.name, version)
    return None if tenant is None else f"baseline {tenant.baseline}"


def _spell_baseline(book: Book, name: str, version: int) -> str:
    baseline = book.read_baseline(name, version)
    parts = [spell_rule(baseline.rule)]
    if baseline.floor is not None:
        parts.append(f"never below {baseline.floor}")
    if baseline.hold is not None:
        parts.append(f"held {spell_hold(baseline.hold)}")
    products = ", ".join(product.value for product in baseline.minimums)
    if products:
        parts.append(f"minimums for {products}")
    return ", ".join(parts)
