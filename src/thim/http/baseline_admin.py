"""
The admin API's routes of baselines and plans.
"""

from __future__ import annotations

import asyncio
import dataclasses

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from thim.baseline.definition import Kind
from thim.errors import (
    FrequencyError,
    ParameterError,
)
from thim.http.administered import Administered
from thim.http.baseline_bodies import (
    MOST_NAMED,
    Order,
    OwnBaseline,
    PlanWanted,
)
from thim.http.bodies import decode
from thim.http.planned import (
    ask_what_if,
    change,
    is_nameless,
    judging,
    make_plan,
    read_plan_id,
)
from thim.http.query import parse_query
from thim.http.tenant_admin import reading
from thim.services.baseline_views import (
    describe_baseline,
    describe_history,
    describe_impact,
    describe_plan,
    describe_promotion,
)
from thim.services.tokens import Permission
from thim.store.plan_view import PlanView


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from starlette.types import Scope

    from thim.baseline.rollout import Impact, Plan
    from thim.http.service import Service
    from thim.services.planning import Planner
    from thim.services.tokens import Principal
    from thim.store.replica import Replica

_MOST_BODY: Final = 256 * 1024
_DIGITS: Final = 6


def baseline_admin_routes() -> list[Route]:
    """
    Return the routes of baselines and plans below ``/admin/v1``.
    """
    read, administer = Permission.READ, Permission.ADMINISTER
    routes = (
        ("/baselines", "GET", read, _list, None),
        ("/baselines/{name}", "GET", read, _show, None),
        ("/baselines/{name}/history", "GET", read, _show_history, None),
        ("/baselines/{name}/approve", "POST", administer, _approve, None),
        ("/baselines/{name}/rollback", "POST", administer, _demote, None),
        ("/plans", "GET", read, _list_plans, None),
        ("/plans", "POST", administer, _plan, None),
        ("/plans/{plan}", "GET", read, _show_plan, None),
        ("/plans/{plan}/apply", "POST", administer, _apply, None),
        ("/plans/{plan}/rollback", "POST", administer, _roll_back, None),
        ("/tenants/{name}/what-if", "GET", read, _what_if, "name"),
        ("/tenants/{name}/baseline", "PUT", administer, _put_own, "name"),
    )
    return [
        Route(
            f"/admin/v1{path}",
            Administered(permission, answer, _MOST_BODY, tenant),
            methods=[method],
        )
        for path, method, permission, answer, tenant in routes
    ]


async def _list(
    scope: Scope, _principal: Principal, _body: bytes
) -> tuple[int, object]:
    def read(replica: Replica, now: datetime) -> object:
        return [
            describe_baseline(replica, baseline, now)
            for baseline in replica.book().baselines(now)
        ]

    return 200, await _read(scope, read)


async def _show(
    scope: Scope, _principal: Principal, _body: bytes
) -> tuple[int, object]:
    name = scope["path_params"]["name"]

    def read(replica: Replica, now: datetime) -> object:
        baseline = replica.book().find_baseline(name, now, now)
        return describe_baseline(replica, baseline, now)

    return 200, await _read(scope, read)


async def _show_history(
    scope: Scope, _principal: Principal, _body: bytes
) -> tuple[int, object]:
    name = scope["path_params"]["name"]

    def read(replica: Replica, now: datetime) -> object:
        replica.book().find_baseline(name, now, now)
        return describe_history(replica, Kind.BASELINE, name)

    return 200, await _read(scope, read)


async def _list_plans(
    scope: Scope, _principal: Principal, _body: bytes
) -> tuple[int, object]:
    def read(replica: Replica, _now: datetime) -> object:
        return [describe_plan(plan) for plan in PlanView(replica).all()]

    return 200, await _read(scope, read)


async def _show_plan(
    scope: Scope, _principal: Principal, _body: bytes
) -> tuple[int, object]:
    plan_id = read_plan_id(scope["path_params"]["plan"])

    def read(replica: Replica, _now: datetime) -> object:
        return describe_plan(PlanView(replica).find(plan_id))

    return 200, await _read(scope, read)


async def _read(
    scope: Scope, read: Callable[[Replica, datetime], object]
) -> object:
    service: Service = scope["state"]["service"]

    def work() -> object:
        with reading(service) as replica:
            return read(replica, service.clock())

    return await asyncio.to_thread(work)


async def _plan(
    scope: Scope, principal: Principal, body: bytes
) -> tuple[int, object]:
    """
    Make a plan: of a baseline's ``definition``, or that ``tenants`` go to it.
    """

    def describe(planner: Planner, made: Plan) -> object:
        return _describe(made, planner.try_all(made))

    wanted = decode(body, PlanWanted)
    return 201, await make_plan(_find(scope), principal, wanted, describe)


async def _apply(
    scope: Scope, principal: Principal, body: bytes
) -> tuple[int, object]:
    order = decode(body, Order)
    plan_id = read_plan_id(scope["path_params"]["plan"])

    def apply(planner: Planner) -> object:
        plan = planner.read(plan_id)
        impacts = planner.try_out(plan)
        done = planner.apply(plan, is_forced=order.break_more_than_allowed)
        return _describe(done, impacts)

    return 200, await change(_find(scope), principal, order.reason, apply)


async def _roll_back(
    scope: Scope, principal: Principal, body: bytes
) -> tuple[int, object]:
    order = decode(body, Order)
    plan_id = read_plan_id(scope["path_params"]["plan"])

    def roll_back(planner: Planner) -> object:
        return _describe(planner.roll_back(planner.read(plan_id)), ())

    return 200, await change(_find(scope), principal, order.reason, roll_back)


async def _approve(
    scope: Scope, principal: Principal, body: bytes
) -> tuple[int, object]:
    order, name = decode(body, Order), scope["path_params"]["name"]

    def approve(planner: Planner) -> object:
        is_forced = order.break_more_than_allowed
        return describe_promotion(planner.approve(name, is_forced=is_forced))

    return 200, await change(_find(scope), principal, order.reason, approve)


async def _demote(
    scope: Scope, principal: Principal, body: bytes
) -> tuple[int, object]:
    order, name = decode(body, Order), scope["path_params"]["name"]

    def demote(planner: Planner) -> object:
        return describe_promotion(planner.demote(name))

    return 200, await change(_find(scope), principal, order.reason, demote)


async def _what_if(
    scope: Scope, principal: Principal, _body: bytes
) -> tuple[int, object]:
    """
    Answer ``?baseline=B&limit=100``: which of a tenant's platforms would break.
    """
    service: Service = scope["state"]["service"]
    parameters = parse_query(scope["query_string"])
    baseline = parameters.get("baseline", "")
    limit = _read_limit(parameters.get("limit", "100"))
    name = scope["path_params"]["name"]
    return 200, await ask_what_if(service, principal, name, baseline, limit)


def _read_limit(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    if not is_number or int(text) > MOST_NAMED:
        expected = f"expected 0 to {MOST_NAMED}"
        raise ParameterError("limit", text, expected)
    return int(text)


async def _put_own(
    scope: Scope, principal: Principal, body: bytes
) -> tuple[int, object]:
    """
    Let a tenant go to another baseline at once, as its own admin may have it,
    within what a change may break.
    """
    service: Service = scope["state"]["service"]
    wanted, name = decode(body, OwnBaseline), scope["path_params"]["name"]
    if not service.changes.spend(name, service.clock()):
        msg = f"tenant {name} has changed its baseline too often: wait a minute"
        raise FrequencyError(msg, reason="changes")
    hides_names = is_nameless(service, principal)

    def move(planner: Planner) -> object:
        # What is refused leaves nothing behind.
        planner.check_move(name, wanted.baseline)
        plan = planner.plan_move([name], wanted.baseline)
        impacts = planner.try_all(plan)
        if hides_names:
            impacts = [dataclasses.replace(i, examples=()) for i in impacts]
        return _describe(planner.apply(plan), impacts)

    with judging(service):
        return 200, await change(service, principal, wanted.reason, move)


def _find(scope: Scope) -> Service:
    service: Service = scope["state"]["service"]
    return service


def _describe(plan: Plan, impacts: Sequence[Impact]) -> dict[str, Any]:
    return {
        **describe_plan(plan),
        "impacts": [describe_impact(impact) for impact in impacts],
    }
