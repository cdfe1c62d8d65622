"""
What-if: what a baseline would make of a tenant's platforms, without a plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from thim.baseline.model import ROOT, SHIPPED
from thim.baseline.rollout import Broken
from thim.errors import ForbiddenError, NotFoundError, UnavailableError
from thim.http.console.guard import ConsolePage
from thim.http.console.impacts import (
    LEGEND,
    count_standings,
    draw_standings,
    group_broken,
    spell_numbers,
)
from thim.http.console.orders import find_status
from thim.http.console.visit import Page, Visit
from thim.http.planned import ask_what_if
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from thim.store.replica import Replica

_LISTED: Final = 200
_NAMED: Final = 100


async def _show(visit: Visit) -> Page:
    query, own = visit.query, visit.principal.tenant
    tenant = query.get("tenant", "").strip() or own or ROOT.name
    baseline = query.get("baseline", "").strip()
    if own not in {None, tenant}:
        msg = f"{visit.principal} is of the tenant {own}, and not of {tenant!r}"
        raise ForbiddenError(msg, reason="tenant")
    values: dict[str, Any] = {
        "tenant": tenant,
        "baseline": baseline,
        "answer": None,
        "detail": None,
        **await visit.read(_list_names(own)),
    }
    status = 200
    if baseline:
        try:
            values |= await _ask(visit, tenant, baseline)
        except (NotFoundError, UnavailableError) as e:
            status, values["detail"] = find_status(e), str(e)
    return Page(
        template="what_if.html", title="What if", values=values, status=status
    )


async def _ask(visit: Visit, tenant: str, baseline: str) -> dict[str, Any]:
    answer = await ask_what_if(
        visit.service, visit.principal, tenant, baseline, _NAMED
    )
    counted = count_standings(answer)
    return {
        "answer": answer,
        "groups": group_broken(
            answer["tenant"], msgspec.convert(answer["broken"], list[Broken])
        ),
        "numbers": spell_numbers(answer["number_now"], answer["number"]),
        "counted": counted,
        "legend": LEGEND,
        "drawn": draw_standings(counted),
        # Whoever may not know what platforms are called is told of none.
        "is_nameless": answer["breaking"] > 0 and not answer["broken"],
    }


def _list_names(
    own: str | None,
) -> Callable[[Replica, datetime], dict[str, Any]]:
    def read(replica: Replica, now: datetime) -> dict[str, Any]:
        book = replica.book()
        tenants = [own] if own else [each.name for each in book.tenants(now)]
        names = [each.name for each in book.baselines(now)]
        if own is not None:
            # What others call theirs may say who they are.
            theirs = book.find_tenant(own, now, now).baseline
            names = [n for n in names if n in SHIPPED or n == theirs]
        numbers = sorted(replica.numbers(), reverse=True)
        return {
            "tenants": tenants[:_LISTED],
            "baselines": [*names, *map(str, numbers)][:_LISTED],
        }

    return read


WHAT_IF: Final = (
    (
        "/what-if",
        "GET",
        ConsolePage(Permission.READ, _show, for_tenants=True),
    ),
)
