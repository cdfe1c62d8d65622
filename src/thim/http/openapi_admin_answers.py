"""
What the admin API answers, as types: its OpenAPI document is written from
them, and the tests hold real answers against them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from msgspec import Meta

from thim.amd.tcb import ProductLine
from thim.baseline.model import Overrides
from thim.baseline.provider import ExpiredRule, TrustModel
from thim.baseline.provider_definition import ComplianceJson
from thim.intel.tcb import TcbStatus
from thim.services.tokens import Role


Instant = Annotated[
    str,
    Meta(
        pattern=r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z",
        examples=["2026-09-01T12:00:00Z"],
    ),
]
Count = Annotated[int, Meta(ge=0)]
#: A TCB evaluation data number.
Number = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Tcb = Annotated[str, Meta(pattern=r"\A[0-9A-F]{16}\Z")]
Thumbprint = Annotated[str, Meta(pattern=r"\A[0-9A-F]{40}\Z")]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing but these members."""


class Problem(_Strict):
    """An error (RFC 9457); programs go by `reason`."""

    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    reason: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]*\Z")]
    detail: str


class WhoAmI(_Strict):
    """Whose token was shown."""

    id: str
    name: str
    role: Role
    tenant: str | None
    expires: Instant | None


class AgentToken(_Strict):
    """An agent's own token, which nobody can learn again."""

    id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{12}\Z")]
    token: str
    role: Role


class ChipState(_Strict):
    """
    What is known of a chip now: `confirmed` by a report that holds, or as
    somebody `declared` it; `reason` says why it is not confirmed.
    """

    state: Literal["confirmed", "declared"]
    reason: str | None
    tcb: Tcb


class Chip(_Strict):
    """An AMD machine that is registered."""

    product: ProductLine
    hw_id: Annotated[str, Meta(pattern=r"\A([0-9A-F]{16}|[0-9A-F]{128})\Z")]
    name: str | None
    tcb: Tcb
    state: Literal["confirmed", "declared"]
    registered: Instant
    registered_by: str
    last_seen: Instant
    retired: Instant | None


class Provider(_Strict):
    """A tenant's attestation side."""

    trust: TrustModel
    issuer: str | None
    expired: ExpiredRule
    crl_grace: str
    sgx_statuses: list[TcbStatus]
    tdx_statuses: list[TcbStatus]
    compliance: list[ComplianceJson]


class Tenant(_Strict):
    """A tenant, and the number at which it stands."""

    name: str
    baseline: str
    number: Number | None
    trouble: str | None
    overrides: Overrides
    hosts: list[str]
    labels: dict[str, str]
    quota: Annotated[str, Meta(examples=["600/min per source"])] | None
    version: Count
    attestation: Provider
    policy_certificates: list[Thumbprint]


class Deleted(_Strict):
    """What is there no more."""

    name: str
    deleted: Literal[True]


class Decision(_Strict):
    """Who has decided what, and why."""

    what: str
    definition: str | None
    for_: str = msgspec.field(name="for")
    effective: Instant | None
    decided: Instant
    actor: str
    reason: str
    plan: int | None


class ServedBy(_Strict):
    """A decision that had a document served."""

    what: str
    since: Instant
    actor: str
    reason: str
    plan: int | None


class ServedDocument(_Strict):
    """The document that a tenant got at an instant, and by whose decisions."""

    tenant: str
    at: Instant
    document: str
    sha256: Sha256
    issued: Instant
    next_update: Instant | None
    fetched: Instant
    state: Literal["fresh", "due", "stale", "expired"]
    baseline: str
    number: Number | None
    inferred: bool | None
    decisions: list[ServedBy]


class Floor(_Strict):
    """The least level of a component, and who says so."""

    spl: Annotated[int, Meta(ge=0, le=255)]
    source: str


class Pending(_Strict):
    """A number that waits: until an instant, or for approval."""

    number: Number
    noticed: Instant
    effective: Instant | None


class Forecast(_Strict):
    """When a rule comes to which number, as well as that is known."""

    number: Number
    at: Instant
    earliest: Instant
    latest: Instant
    confidence: str


class Baseline(_Strict):
    """A baseline, the number at which it stands, and what will change that."""

    name: str
    version: Count
    rule: str
    floor: Number | None
    hold: str | None
    number: Number | None
    inferred: bool | None
    signed: bool | None
    trouble: str | None
    pending: Pending | None
    forecast: Forecast | None
    amd: dict[str, dict[str, Floor]]
    tenants: list[str]


class Promotion(_Strict):
    """At which number a held baseline stands, and from when on."""

    baseline: str
    version: Count
    number: Number
    effective: Instant | None


class Plan(_Strict):
    """What a plan does, and how far it is."""

    id: Annotated[int, Meta(ge=1)]
    what: str
    state: Literal["planned", "canary", "applied", "rolled-back"]
    canaries: list[str]
    effective: Instant | None
    author: str
    reason: str
    created: Instant
    changed: Instant


class Broken(_Strict):
    """A platform that is acceptable before a change and not after it."""

    name: str
    tee: str
    before: str
    after: str
    findings: list[str]
    remedies: list[str]
    advisories: list[str]


class Impact(_Strict):
    """What a change does to one tenant's platforms."""

    tenant: str
    before: Number | None
    after: Number | None
    platforms: Count
    judged: Count
    breaking: Count
    share: Share
    examples: list[Broken]


class PlanTried(Plan):
    """A plan, and what it does to whom."""

    impacts: list[Impact]


class BrokenThen(_Strict):
    """A platform that would break, or a chip that is below already."""

    name: str
    tee: str
    before: str
    after: str
    findings: list[str]
    remedies: list[str]
    advisory_ids: list[str]


class Standings(_Strict):
    """How many platforms stand so now, and so then."""

    now: str
    then: str
    platforms: Count


class TeeReport(_Strict):
    """What becomes of the platforms for one TEE."""

    tee: str
    platforms: Count
    qe_known: Count
    breaking: Count
    changed: Count
    standings: list[Standings]


class WhatIf(_Strict):
    """What a baseline would make of a tenant's platforms."""

    tenant: str
    baseline_now: str
    number_now: Number | None
    baseline: str
    number: Number | None
    by_when: str
    confidence: str
    trouble: str | None
    taken: Instant
    platforms: Count
    unknown: Count
    unjudged: Count
    breaking: Count
    tees: list[TeeReport]
    chips_below_minimum: Count
    broken: list[BrokenThen]
    below_already: list[BrokenThen]
