"""
The OpenAPI document of the admin API.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from thim.amd.tcb import ProductLine
from thim.http.agents import ChipTold, Enrolment
from thim.http.openapi import (
    ANYBODY,
    Access,
    Answer,
    Body,
    Family,
    Header,
    Operation,
    Parameter,
)
from thim.http.openapi_admin_answers import (
    AgentToken,
    Chip,
    ChipState,
    Decision,
    Deleted,
    ServedDocument,
    Tenant,
    WhoAmI,
)
from thim.http.openapi_baselines import baseline_operations
from thim.http.openapi_names import INSTANT, TENANT
from thim.http.openapi_problems import PROBLEMS, answering, asking_for
from thim.http.tenant_changes import TenantWanted
from thim.services.tokens import Permission, Role


_DESCRIPTION: Final = """\
Tenants, baselines, plans, chips and agents of `thim`.

A token goes into `Authorization: Bearer ID.SECRET`; over plain HTTP only from
the service's own machine. `x-thim-roles` are the roles whose tokens are
taken; `x-thim-tenant-roles` are those of tokens of the tenant that the path
names.

Errors are problems (RFC 9457): `reason` is a stable word for programs,
`detail` names the parameter, its value and what is expected. A path or method
that there is not is a problem too. What is no HTTP, or over the limits of a
connection (400, 408, 413, 414, 431, 501, 505), is refused in one sentence of
plain text.

HEAD does what GET does. Members may be added to answers in any version.
"""
_TAGS: Final = {
    "service": "Who asks, and this document.",
    "tenants": "For whom the service answers, and with which baseline.",
    "baselines": "At which TCB evaluation number answers are.",
    "plans": "Changes that are looked at before they are made.",
    "chips": "AMD's machines.",
    "agents": "Node agents.",
}
_READ: Final = asking_for(Permission.READ)
_READ_OWN: Final = asking_for(Permission.READ, of_tenant=True)
_ADMINISTER: Final = asking_for(Permission.ADMINISTER)
_ANY_ROLE: Final = Access(roles=tuple(Role), tenant_roles=tuple(Role))
_JSON: Final = "application/json"
_TENANT_BODY: Final = {
    "baseline": "default",
    "overrides": "never",
    "hosts": ["acme.thim.example"],
    "labels": {"site": "fra"},
    "quota": {"requests": 600, "per": "source"},
    "attestation": {"trust": "aad", "expired": "archived-only"},
    "reason": "a new customer",
}
_IF_MATCH: Final = Parameter(
    name="If-Match",
    where="header",
    text="The version that you have seen, with quotes or without; without it "
    "the tenant is created.",
    kind=Annotated[str, Meta(pattern=r'\A"?[0-9]{1,9}"?\Z')],
    example='"1"',
    is_required=False,
)
_PRODUCT: Final = Parameter(
    name="product",
    where="path",
    text="The product line.",
    kind=ProductLine,
    example="Milan",
)
_HW_ID: Final = Parameter(
    name="hw_id",
    where="path",
    text="The chip's hardware ID: 128 hexadecimal digits, Turin's 16.",
    kind=Annotated[
        str, Meta(pattern=r"\A([0-9A-Fa-f]{16}|[0-9A-Fa-f]{128})\Z")
    ],
    example="0123456789ABCDEF" * 8,
)
_SERVED: Final = (
    TENANT,
    Parameter(
        name="at",
        where="query",
        text="When it was served.",
        kind=INSTANT,
        example="2026-09-01T12:00:00Z",
    ),
    Parameter(
        name="path",
        where="query",
        text="The path that was asked for, with its query, escaped.",
        kind=Annotated[str, Meta(min_length=1, max_length=2000)],
        example="/sgx/certification/v4/tcb?fmspc=00906ED50000",
    ),
)
DOCUMENT: Final = Operation(
    id="getOpenApi",
    method="GET",
    path="/admin/v1/openapi.json",
    tag="service",
    summary="Return this document",
    access=ANYBODY,
    answers={
        200: Answer(
            text="OpenAPI 3.1.",
            kinds={_JSON: dict},
            headers={
                "Cache-Control": Header(text="It holds for an hour."),
                "ETag": Header(text="Its digest."),
                "Request-ID": Header(text="The client's own, or a new one."),
            },
        ),
        304: Answer(text="It is the one named in `If-None-Match`."),
        429: PROBLEMS[429],
    },
)


def _service_operations() -> list[Operation]:
    return [
        Operation(
            id="whoAmI",
            method="GET",
            path="/admin/v1/whoami",
            tag="service",
            summary="Say whose token this is",
            access=_ANY_ROLE,
            answers=answering(WhoAmI, "The token's name and role."),
        ),
        DOCUMENT,
    ]


def _tenant_operations() -> list[Operation]:
    return [
        Operation(
            id="listTenants",
            method="GET",
            path="/admin/v1/tenants",
            tag="tenants",
            summary="List all tenants",
            access=_READ,
            answers=answering(list[Tenant], "All tenants, by name."),
        ),
        Operation(
            id="getTenant",
            method="GET",
            path="/admin/v1/tenants/{name}",
            tag="tenants",
            summary="Describe a tenant",
            access=_READ_OWN,
            parameters=(TENANT,),
            answers=answering(Tenant, "The tenant as it is in force.", 404),
        ),
        Operation(
            id="getTenantHistory",
            method="GET",
            path="/admin/v1/tenants/{name}/history",
            tag="tenants",
            summary="Say who has decided what about a tenant",
            access=_READ_OWN,
            parameters=(TENANT,),
            answers=answering(
                list[Decision], "Every decision, the oldest first.", 404
            ),
        ),
        Operation(
            id="findServedDocument",
            method="GET",
            path="/admin/v1/tenants/{name}/served",
            tag="tenants",
            summary="Say which document a tenant got at an instant",
            access=_READ_OWN,
            parameters=_SERVED,
            answers=answering(
                ServedDocument, "The document, by its digest.", 400, 404
            ),
        ),
        *_tenant_changes(),
    ]


def _tenant_changes() -> list[Operation]:
    created = answering(
        Tenant, "The tenant was created.", 404, 409, status=201, has_body=True
    )
    changed = answering(Tenant, "The tenant was changed.")
    return [
        Operation(
            id="putTenant",
            method="PUT",
            path="/admin/v1/tenants/{name}",
            tag="tenants",
            summary="Create a tenant, or change the version that you have seen",
            access=_ADMINISTER,
            parameters=(TENANT, _IF_MATCH),
            body=Body(
                kinds={_JSON: (TenantWanted,)},
                examples={"a new tenant": _TENANT_BODY},
            ),
            answers={**changed, **created},
        ),
        Operation(
            id="deleteTenant",
            method="DELETE",
            path="/admin/v1/tenants/{name}",
            tag="tenants",
            summary="Delete a tenant; its history stays",
            access=_ADMINISTER,
            parameters=(
                TENANT,
                Parameter(
                    name="reason",
                    where="query",
                    text="Why; it is written down.",
                    kind=Annotated[str, Meta(max_length=500)],
                    example="the contract has ended",
                    is_required=False,
                ),
            ),
            answers=answering(Deleted, "It was deleted.", 400, 404, 409),
        ),
    ]


def _chip_operations() -> list[Operation]:
    return [
        Operation(
            id="listChips",
            method="GET",
            path="/admin/v1/chips",
            tag="chips",
            summary="List AMD's machines that are registered",
            access=_READ,
            answers=answering(list[Chip], "All of them, the retired too."),
        ),
        Operation(
            id="putChip",
            method="PUT",
            path="/admin/v1/chips/{product}/{hw_id}",
            tag="chips",
            summary="Tell of a chip and its TCB",
            access=asking_for(Permission.REPORT),
            parameters=(_PRODUCT, _HW_ID),
            body=Body(
                kinds={_JSON: (ChipTold,)},
                examples={
                    "without a report": {
                        "tcb": "D315000000000004",
                        "name": "node-7",
                    }
                },
            ),
            answers=answering(
                ChipState, "What is known of it now.", 404, has_body=True
            ),
        ),
        Operation(
            id="enrolAgent",
            method="POST",
            path="/admin/v1/agents",
            tag="agents",
            summary="Change a token that counts once into an agent's own",
            access=asking_for(Permission.ENROL),
            body=Body(
                kinds={_JSON: (Enrolment,)},
                examples={"a node": {"name": "node-7"}},
            ),
            answers=answering(
                AgentToken, "The agent's token.", status=201, has_body=True
            ),
        ),
    ]


ADMIN: Final = Family(
    title="thim: administration",
    description=_DESCRIPTION,
    tags=_TAGS,
    servers=({"url": "/"},),
    operations=(
        *_service_operations(),
        *_tenant_operations(),
        *baseline_operations(),
        *_chip_operations(),
    ),
)
