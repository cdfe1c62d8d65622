"""
The first page: what an operator must know at a glance.
"""

from __future__ import annotations

import itertools

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from thim.collateral.freshness import State
from thim.http.console.charts import Bar, Part, draw_bars
from thim.http.console.guard import ConsolePage
from thim.http.console.tenant_rows import (
    LEGEND,
    rank_tenants,
    sort_standing,
)
from thim.http.console.visit import Page, SeeOther, Visit
from thim.services.status import Level
from thim.services.tokens import Permission
from thim.store.outlook_view import OutlookView


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from markupsafe import Markup

    from thim.http.console.tenant_rows import Row
    from thim.services.status import Promise, Status
    from thim.store.replica import Replica

_SHOWN: Final = 12
_DAY: Final = 86400
VERDICTS: Final = {
    Level.WELL: ("good", "All is well"),
    Level.SOON: ("soon", "Look soon"),
    Level.NOW: ("bad", "Act now"),
}
_KINDS: Final = {
    State.FRESH: "good",
    State.DUE: "good",
    State.STALE: "soon",
    State.EXPIRED: "bad",
}
#: Where those are listed that a concern counts.
PLACES: Final = {
    "expired": "/console/collateral?state=expired&kept=yes",
    "stale": "/console/collateral?state=stale",
    "missing": "/console/collateral?state=missing",
    "refused": "/console/quarantine",
    "pck-missing": "/console/platforms?state=without-certificate",
    "pck-revoked": "/console/platforms?state=revoked",
    "vcek-missing": "/console/chips?state=without-vcek",
    "tenant-without-number": "/console/tenants?which=trouble",
    "promotion-pending": "/console/baselines",
}


async def _show(visit: Visit) -> Page | SeeOther:
    if visit.principal.tenant is not None:  # it is about everybody's
        return SeeOther(f"/console/tenants/{visit.principal.tenant}")
    status = await visit.service.status.read()
    fleet = await visit.read(_read_fleet)
    kind, verdict = VERDICTS[status.level]
    return Page(
        template="overview.html",
        title="Overview",
        values={
            "status": status,
            "kind": kind,
            "verdict": verdict,
            "trouble": visit.service.find_trouble(),
            "places": PLACES,
            "concerns": [(VERDICTS[c.level][0], c) for c in status.concerns],
            "first": status.next_expiry,
            "expiring": _draw_expiring(status),
            **fleet,
        },
    )


def _draw_expiring(status: Status) -> Markup:
    dated = [
        (each.next_update, each)
        for each in status.promises
        if each.next_update is not None
    ]
    dated.sort(key=lambda pair: (pair[0], str(pair[1].target)))
    bars = [_bar(promise, at, status.now) for at, promise in dated[:_SHOWN]]
    return draw_bars("Days until what expires first", bars, most=30)


def _bar(promise: Promise, until: datetime, now: datetime) -> Bar:
    days = (until - now).total_seconds() / _DAY
    kind = _KINDS[promise.state] if promise.state else "none"
    note = f"{days:.1f} days" if days > 0 else "expired"
    part = Part("days left", kind, max(days, 0))
    name = str(promise.target)
    link = f"/console/collateral/document?{urlencode({'name': name})}"
    # The maker is told by the kind; the end of the name tells them apart.
    return Bar(name.removeprefix("intel/"), [part], note=note, link=link)


def _read_fleet(replica: Replica, now: datetime) -> dict[str, Any]:
    rows = rank_tenants(replica, replica.book().tenants(now), now)
    shown = rows[:_SHOWN]
    return {
        "rows": shown,
        "tenants": len(rows),
        "troubled": sum(row.has_trouble for row in rows),
        "legend": LEGEND,
        "taken": OutlookView(replica).taken(),
        "fleet": _draw_fleet(shown),
    }


def _draw_fleet(rows: Sequence[Row]) -> Markup | None:
    # A machine may have a verdict for each: they are not to be added up.
    bars = [
        _draw_standings(row.state.tenant, tee, list(standings))
        for row in rows
        if row.outlook is not None
        for tee, standings in itertools.groupby(
            sorted(row.outlook["standings"], key=_find_tee), _find_tee
        )
    ]
    title = "Platforms of each tenant by how they stand"
    return draw_bars(title, bars) if bars else None


def _find_tee(standing: dict[str, Any]) -> str:
    tee: str = standing["tee"]
    return tee


def _draw_standings(
    tenant: str, tee: str, standings: Sequence[dict[str, Any]]
) -> Bar:
    parts = [
        Part(
            each["standing"],
            sort_standing(each["standing"]),
            each["platforms"],
        )
        for each in standings
    ]
    return Bar(
        f"{tenant}, {tee}",
        parts,
        note=f"{sum(part.amount for part in parts):g}",
        link=f"/console/tenants/{tenant}",
    )


OVERVIEW: Final = (
    ("/", "GET", ConsolePage(Permission.READ, _show, for_tenants=True)),
)
