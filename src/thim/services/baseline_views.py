"""
What is to be said of baselines: for people, and for programs.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from thim.baseline.definition import Kind
from thim.baseline.forecast import forecast_rule
from thim.baseline.model import ROOT
from thim.baseline.rule import spell_hold, spell_rule
from thim.baseline.select import Standing, choose_held
from thim.errors import ThimError
from thim.services.landscape import complete, read_landscape
from thim.services.promotions import find_pending
from thim.services.uptake import find_uptake


if TYPE_CHECKING:
    from thim.baseline.decided import Promotion
    from thim.baseline.model import Baseline
    from thim.baseline.rollout import Impact, Plan
    from thim.services.tenant_states import TenantState
    from thim.store.replica import Replica


def describe_baseline(
    replica: Replica, baseline: Baseline, now: datetime
) -> dict[str, Any]:
    """
    Say what *baseline* is, at which number it stands, and what will change
    that.
    """
    book = replica.book()
    hold = baseline.hold
    return {
        "name": baseline.name,
        "version": baseline.version,
        "rule": spell_rule(baseline.rule),
        "floor": baseline.floor,
        "hold": None if hold is None else spell_hold(hold),
        **_describe_number(replica, baseline, now),
        "pending": _describe_pending(replica, baseline, now),
        "forecast": _describe_forecast(replica, baseline, now),
        "amd": {
            product.value: {
                **{
                    name: {"spl": floor.spl, "source": floor.source}
                    for name, floor in minimum.components.items()
                },
                **{
                    f"microcode {silicon}": {
                        "spl": floor.spl,
                        "source": floor.source,
                    }
                    for silicon, floor in minimum.microcode.items()
                },
            }
            for product, minimum in baseline.minimums.items()
        },
        "tenants": [
            tenant.name
            for tenant in book.tenants(now)
            if tenant.baseline == baseline.name
        ],
    }


def _describe_number(
    replica: Replica, baseline: Baseline, now: datetime
) -> dict[str, Any]:
    landscape = complete(read_landscape(replica), baseline, replica)
    standing = Standing(
        tenant=ROOT,
        own=baseline,
        chosen=baseline,
        book=replica.book(),
        at=now,
    )
    try:
        choice = choose_held(standing, baseline, landscape)
    except ThimError as e:
        return {
            "number": None,
            "inferred": None,
            "signed": None,
            "trouble": str(e),
        }
    is_signed = choice.number in landscape.signed if landscape.signed else None
    return {
        "number": choice.number,
        "inferred": choice.inferred,
        "signed": is_signed,
        "trouble": None,
    }


def _describe_pending(
    replica: Replica, baseline: Baseline, now: datetime
) -> dict[str, Any] | None:
    pending = find_pending(replica.book(), baseline, now)
    if pending is None:
        return None
    return {
        "number": pending.number,
        "noticed": _spell(pending.noticed),
        "effective": _spell(pending.effective),
    }


def _describe_forecast(
    replica: Replica, baseline: Baseline, now: datetime
) -> dict[str, Any] | None:
    forecast = forecast_rule(baseline.rule, replica.number_history(), now)
    if forecast is None:
        return None
    return {
        "number": forecast.number,
        "at": _spell(forecast.at),
        "earliest": _spell(forecast.earliest),
        "latest": _spell(forecast.latest),
        "confidence": forecast.confidence,
    }


def describe_history(
    replica: Replica, kind: Kind, name: str, since: datetime | None = None
) -> list[dict[str, Any]]:
    """
    Say who has decided what about a baseline or tenant, and when; *since* an
    instant, if one is given.
    """
    book = replica.book()
    decisions = [
        {
            "what": f"version {decision.version}",
            "definition": book.definition(kind, name, decision.version).body
            if decision.version
            else None,
            "for": decision.tenant or "everybody",
            "effective": _spell(decision.effective),
            "decided": _spell(decision.decided),
            "actor": decision.actor,
            "reason": decision.reason,
            "plan": decision.plan,
        }
        for decision in book.enactments(kind, name)
        if since is None or decision.effective >= since
    ]
    if kind is Kind.TENANT:
        return decisions
    versions = range(1, book.newest_version(kind, name) + 1)
    moves = [
        {
            "what": f"number {promotion.number}",
            "definition": None,
            "for": f"version {promotion.version}",
            "effective": _spell(promotion.effective),
            "decided": _spell(promotion.noticed),
            "actor": promotion.actor,
            "reason": promotion.reason,
            "plan": None,
        }
        for version in versions
        for promotion in book.promotions(book.read_baseline(name, version))
    ]
    return sorted([*decisions, *moves], key=lambda row: str(row["decided"]))


def describe_uptake(
    replica: Replica, state: TenantState, now: datetime
) -> dict[str, Any]:
    """
    Say where a tenant stands, and which of its clients have fetched that.
    """
    book = replica.book()
    baseline = book.find_baseline(state.baseline, now, now, state.tenant)
    pending = find_pending(book, baseline, now)
    row: dict[str, Any] = {
        "tenant": state.tenant,
        "baseline": state.baseline,
        "number": state.number,
        "signed": state.is_signing,
        "pending": None if pending is None else pending.number,
        "clients": 0,
        "fetched": 0,
        "share": None,
        "behind": [],
        "trouble": state.trouble,
    }
    if state.number is None:
        return row
    uptake = find_uptake(replica, state.tenant, state.number, now)
    share = uptake.share
    return {
        **row,
        "clients": uptake.clients,
        "fetched": uptake.fetched,
        "share": None if share is None else round(share, 4),
        "behind": [
            {
                "client": each.client,
                "number": each.number,
                "seen": _spell(each.seen),
            }
            for each in uptake.behind
        ],
    }


def describe_plan(plan: Plan) -> dict[str, Any]:
    """
    Say what *plan* does, and how far it is.
    """
    return {
        "id": plan.id,
        "what": plan.body.what,
        "state": plan.state.value,
        "canaries": [step.tenant or step.name for step in plan.canaries],
        "effective": _spell_again(plan.body.effective),
        "author": plan.author,
        "reason": plan.reason,
        "created": _spell(plan.created),
        "changed": _spell(plan.changed),
    }


def describe_impact(impact: Impact) -> dict[str, Any]:
    """
    Say what a change does to one tenant's platforms.
    """
    return {
        "tenant": impact.tenant,
        "before": impact.before,
        "after": impact.after,
        "platforms": impact.platforms,
        "judged": impact.judged,
        "breaking": impact.breaking,
        "share": round(impact.share, 4),
        "examples": [
            {
                "name": each.name,
                "tee": each.tee,
                "before": each.before,
                "after": each.after,
                "findings": list(each.findings),
                "remedies": list(each.remedies),
                "advisories": list(each.advisory_ids),
            }
            for each in impact.examples
        ],
    }


def describe_promotion(promotion: Promotion) -> dict[str, Any]:
    """
    Say at which number a held baseline stands, and from when on.
    """
    effective = promotion.effective
    return {
        "baseline": promotion.baseline,
        "version": promotion.version,
        "number": promotion.number,
        "effective": None if effective is None else f"{effective:%FT%TZ}",
    }


def _spell_again(text: str | None) -> str | None:
    return None if text is None else _spell(datetime.fromisoformat(text))


def _spell(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%FT%TZ}"
