"""
Plans: what they would do, and their stages.
"""

from __future__ import annotations

import asyncio

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.rollout import QCNL_KEEPS, State
from thim.errors import ConflictError, UnavailableError
from thim.http.console.guard import ConsolePage
from thim.http.console.impacts import PLAN_LEGEND, draw_impacts, group_examples
from thim.http.console.orders import is_forced, read_reason
from thim.http.console.visit import Page, SeeOther, Visit
from thim.http.planned import change, judging, read_plan_id
from thim.services.baseline_views import describe_plan
from thim.services.judged_apart import judge_moves
from thim.services.plan_views import describe_step, find_next_stage
from thim.services.tokens import Permission
from thim.store.plan_view import PlanView


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from thim.baseline.rollout import Impact, Plan
    from thim.services.moves import Move
    from thim.services.plan_views import NextStage
    from thim.services.planning import Planner
    from thim.store.replica import Replica

_ROWS: Final = 50
_MOST_PAGE: Final = 10_000
_SECONDS: Final = 3600
STATES: Final = {
    State.PLANNED.value: "none",
    State.CANARY.value: "soon",
    State.APPLIED.value: "good",
    State.ROLLED_BACK.value: "none",
}


async def _list(visit: Visit) -> Page:
    page = visit.find_number("page", 0, _MOST_PAGE)

    def read(replica: Replica, _now: datetime) -> list[dict[str, Any]]:
        found = PlanView(replica).newest(_ROWS + 1, page * _ROWS)
        return [describe_plan(plan) for plan in found]

    plans = await visit.read(read)
    return Page(
        template="plans.html",
        title="Plans",
        values={
            "plans": plans[:_ROWS],
            "has_more": len(plans) > _ROWS,
            "page": page,
            "states": STATES,
        },
    )


async def _show(visit: Visit) -> Page:
    plan_id = read_plan_id(visit.names["plan"])
    page = visit.find_number("page", 0, _MOST_PAGE)

    def read(
        replica: Replica, now: datetime
    ) -> tuple[Plan, NextStage, list[dict[str, Any]]]:
        plan, book = PlanView(replica).find(plan_id), replica.book()
        steps = plan.body.steps[page * _ROWS :][:_ROWS]
        found = [describe_step(book, step) for step in steps]
        return plan, find_next_stage(replica, plan, now), found

    plan, stage, steps = await visit.read(read)
    moves = stage.moves[page * _ROWS :]
    impacts, trouble = await _judge(visit, moves[:_ROWS])
    count = max(len(plan.body.steps), len(stage.moves))
    return Page(
        template="plan.html",
        title=f"Plan {plan.id}",
        values={
            "plan": describe_plan(plan),
            "states": STATES,
            "steps": steps,
            "page": page,
            "has_more": count > (page + 1) * _ROWS,
            "count": len(stage.moves),
            "misfit": stage.trouble,
            "trouble": trouble,
            "legend": PLAN_LEGEND,
            "drawn": draw_impacts(impacts),
            "impacts": impacts,
            "groups": group_examples(impacts),
            "most": visit.service.settings.max_broken,
            "next": _find_next(plan),
            "can_undo": plan.state in {State.CANARY, State.APPLIED},
            "keeps": int(QCNL_KEEPS.total_seconds()) // _SECONDS,
        },
    )


def _find_next(plan: Plan) -> str | None:
    """Say what to do next, as the button has it."""
    if plan.state is State.PLANNED and plan.canaries:
        return "Apply to the canaries"
    if plan.state is State.PLANNED:
        return "Apply to all"
    return "Apply to the others" if plan.state is State.CANARY else None


async def _judge(
    visit: Visit, moves: Sequence[Move]
) -> tuple[Sequence[Impact], str | None]:
    """Work out what *moves* do now, or say why that cannot be said."""
    if not moves:
        return (), None
    service = visit.service
    try:
        with judging(service):
            impacts = await asyncio.to_thread(
                judge_moves, service.settings.store, moves, service.clock()
            )
    except UnavailableError as e:
        return (), str(e)
    return impacts, None


async def _apply(visit: Visit) -> SeeOther:
    plan_id, forced = read_plan_id(visit.names["plan"]), is_forced(visit)

    def apply(planner: Planner) -> Plan:
        plan = planner.read(plan_id)
        _check_shown(visit, plan)
        return planner.apply(plan, is_forced=forced)

    return await _do(visit, apply)


def _check_shown(visit: Visit, plan: Plan) -> None:
    # A button that is pressed twice is not to reach those behind the canaries.
    shown = visit.form.get("state", "")
    if shown != plan.state.value:
        msg = (
            f"plan {plan.id} is {plan.state.value} by now, and nothing was "
            f"changed: load the page anew"
        )
        raise ConflictError(msg, reason="changed-meanwhile")


async def _roll_back(visit: Visit) -> SeeOther:
    plan_id = read_plan_id(visit.names["plan"])

    def roll_back(planner: Planner) -> Plan:
        return planner.roll_back(planner.read(plan_id))

    return await _do(visit, roll_back)


async def _do(visit: Visit, work: Callable[[Planner], Plan]) -> SeeOther:
    reason = read_reason(visit)
    done = await change(visit.service, visit.principal, reason, work)
    return SeeOther(f"/console/plans/{done.id}")


_READ: Final = Permission.READ
_DECIDE: Final = Permission.ADMINISTER
PLANS: Final = (
    ("/plans", "GET", ConsolePage(_READ, _list)),
    ("/plans/{plan}", "GET", ConsolePage(_READ, _show)),
    ("/plans/{plan}/apply", "POST", ConsolePage(_DECIDE, _apply)),
    ("/plans/{plan}/rollback", "POST", ConsolePage(_DECIDE, _roll_back)),
)
