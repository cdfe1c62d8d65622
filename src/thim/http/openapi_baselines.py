"""
Operations on baselines and plans, for the OpenAPI document.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from thim.http.baseline_bodies import (
    MOST_NAMED,
    Order,
    OwnBaseline,
    PlanWanted,
)
from thim.http.openapi import Body, Operation, Parameter
from thim.http.openapi_admin_answers import (
    Baseline,
    Decision,
    Plan,
    PlanTried,
    Promotion,
    WhatIf,
)
from thim.http.openapi_names import BASELINE, PLAN, TENANT, BaselineName
from thim.http.openapi_problems import answering, asking_for
from thim.services.tokens import Permission


_JSON: Final = "application/json"
_BASELINES: Final = "/admin/v1/baselines"
_PLANS: Final = "/admin/v1/plans"
_READ: Final = asking_for(Permission.READ)
_READ_OWN: Final = asking_for(Permission.READ, of_tenant=True)
_ADMINISTER: Final = asking_for(Permission.ADMINISTER)
_ADMINISTER_OWN: Final = asking_for(Permission.ADMINISTER, of_tenant=True)
_ORDER: Final = Body(
    kinds={_JSON: (Order,)},
    examples={"as usual": {"reason": "the recovery event was in August"}},
)
_PLAN_BODY: Final = Body(
    kinds={_JSON: (PlanWanted,)},
    examples={
        "a definition": {
            "baseline": "steady",
            "definition": {"rule": "trailing: 540d", "floor": 17},
            "canaries": ["lab"],
            "reason": "slower than the vendor",
        },
        "a move": {
            "baseline": "standard",
            "tenants": ["acme", "lab"],
            "effective": "2026-12-01",
            "reason": "all machines are updated by then",
        },
    },
)


def baseline_operations() -> list[Operation]:
    """
    Return the operations on baselines and plans.
    """
    return [*_baselines(), *_plans(), *_of_tenants()]


def _baselines() -> list[Operation]:
    below = f"{_BASELINES}/{{name}}"
    tag: dict[str, Any] = {"tag": "baselines"}
    named: dict[str, Any] = {**tag, "parameters": (BASELINE,)}
    return [
        Operation(
            id="listBaselines",
            method="GET",
            path=_BASELINES,
            summary="List all baselines",
            access=_READ,
            answers=answering(list[Baseline], "All baselines, by name."),
            **tag,
        ),
        Operation(
            id="getBaseline",
            method="GET",
            path=below,
            summary="Describe a baseline, and what will change it",
            access=_READ,
            answers=answering(Baseline, "The baseline in force.", 404),
            **named,
        ),
        Operation(
            id="getBaselineHistory",
            method="GET",
            path=f"{below}/history",
            summary="Say who has decided what about a baseline",
            access=_READ,
            answers=answering(
                list[Decision], "Every decision and promotion.", 404
            ),
            **named,
        ),
        Operation(
            id="approveBaseline",
            method="POST",
            path=f"{below}/approve",
            summary="Let a held baseline go to the number that waits",
            access=_ADMINISTER,
            body=_ORDER,
            answers=answering(
                Promotion, "It stands there.", 404, 409, has_body=True
            ),
            **named,
        ),
        Operation(
            id="rollBackBaseline",
            method="POST",
            path=f"{below}/rollback",
            summary="Put a held baseline back to the number before",
            access=_ADMINISTER,
            body=_ORDER,
            answers=answering(
                Promotion, "It stands there.", 404, 409, has_body=True
            ),
            **named,
        ),
    ]


def _plans() -> list[Operation]:
    below = f"{_PLANS}/{{plan}}"
    tag: dict[str, Any] = {"tag": "plans"}
    named: dict[str, Any] = {**tag, "parameters": (PLAN,)}
    return [
        Operation(
            id="listPlans",
            method="GET",
            path=_PLANS,
            summary="List all plans",
            access=_READ,
            answers=answering(list[Plan], "All plans."),
            **tag,
        ),
        Operation(
            id="makePlan",
            method="POST",
            path=_PLANS,
            summary="Plan a definition, or that tenants go to a baseline",
            access=_ADMINISTER,
            body=_PLAN_BODY,
            answers=answering(
                PlanTried,
                "The plan, and what it would do; nothing is changed yet.",
                *(404, 409),
                status=201,
                has_body=True,
            ),
            **tag,
        ),
        Operation(
            id="getPlan",
            method="GET",
            path=below,
            summary="Describe a plan",
            access=_READ,
            answers=answering(Plan, "The plan.", 404),
            **named,
        ),
        Operation(
            id="applyPlan",
            method="POST",
            path=f"{below}/apply",
            summary="Do a plan's next stage: its canaries first, then the rest",
            access=_ADMINISTER,
            body=_ORDER,
            answers=answering(
                PlanTried, "How far it is.", 404, 409, has_body=True
            ),
            **named,
        ),
        Operation(
            id="rollBackPlan",
            method="POST",
            path=f"{below}/rollback",
            summary="Take back what a plan has done",
            access=_ADMINISTER,
            body=_ORDER,
            answers=answering(
                PlanTried, "It is taken back.", 404, 409, has_body=True
            ),
            **named,
        ),
    ]


def _of_tenants() -> list[Operation]:
    tenant = "/admin/v1/tenants/{name}"
    return [
        Operation(
            id="askWhatIf",
            method="GET",
            path=f"{tenant}/what-if",
            tag="tenants",
            summary="Say which of a tenant's platforms would break",
            access=_READ_OWN,
            parameters=(
                TENANT,
                Parameter(
                    name="baseline",
                    where="query",
                    text="Under which baseline.",
                    kind=BaselineName,
                    example="standard",
                ),
                Parameter(
                    name="limit",
                    where="query",
                    text="How many are named; a tenant that has no labels is "
                    "told no names.",
                    kind=Annotated[int, Meta(ge=0, le=MOST_NAMED)],
                    example=100,
                    is_required=False,
                ),
            ),
            answers=answering(WhatIf, "What would become of them.", 400, 404),
        ),
        Operation(
            id="putTenantBaseline",
            method="PUT",
            path=f"{tenant}/baseline",
            tag="tenants",
            summary="Let a tenant go to another baseline at once",
            access=_ADMINISTER_OWN,
            parameters=(TENANT,),
            body=Body(
                kinds={_JSON: (OwnBaseline,)},
                examples={
                    "a number": {"baseline": "19", "reason": "all is updated"}
                },
            ),
            answers=answering(
                PlanTried,
                "The plan that was made of it.",
                404,
                409,
                has_body=True,
            ),
        ),
    ]
