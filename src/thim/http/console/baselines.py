"""
Baselines: where they stand, what is to come, who decided that.
"""

from __future__ import annotations

import datetime

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.definition import Kind
from thim.http.console.charts import (
    Bar,
    Lane,
    Part,
    Stretch,
    draw_bars,
    draw_timeline,
)
from thim.http.console.guard import ConsolePage
from thim.http.console.orders import is_forced, read_reason
from thim.http.console.visit import Page, SeeOther, Visit
from thim.http.planned import change
from thim.services.baseline_views import (
    describe_baseline,
    describe_history,
    describe_uptake,
)
from thim.services.number_track import find_track
from thim.services.promotions import find_before
from thim.services.tenant_states import find_state
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from thim.baseline.decided import Promotion
    from thim.services.number_track import Stay
    from thim.services.planning import Planner
    from thim.store.replica import Replica

_ROWS: Final = 50
_MOST_PAGE: Final = 10_000
_MOST_HISTORY: Final = 100
_AHEAD: Final = datetime.timedelta(days=60)


async def _list(visit: Visit) -> Page:
    page = visit.find_number("page", 0, _MOST_PAGE)

    def read(replica: Replica, now: datetime.datetime) -> dict[str, Any]:
        found = replica.book().baselines(now)[page * _ROWS :]
        return {
            "baselines": [
                describe_baseline(replica, baseline, now)
                for baseline in found[:_ROWS]
            ],
            "has_more": len(found) > _ROWS,
        }

    return Page(
        template="baselines.html",
        title="Baselines",
        values={"page": page, **await visit.read(read)},
    )


async def _show(visit: Visit) -> Page:
    name = visit.names["name"]
    page = visit.find_number("page", 0, _MOST_PAGE)

    def read(replica: Replica, now: datetime.datetime) -> dict[str, Any]:
        book = replica.book()
        baseline = book.find_baseline(name, now, now)
        row = describe_baseline(replica, baseline, now)
        history = describe_history(replica, Kind.BASELINE, name)
        track = find_track(replica, name, now)
        names = row["tenants"][page * _ROWS :]
        uptakes = [
            describe_uptake(replica, find_state(replica, tenant, now), now)
            for tenant in (
                book.find_tenant(each, now, now) for each in names[:_ROWS]
            )
        ]
        return {
            "baseline": row,
            "most": visit.service.settings.max_broken,
            "is_own": baseline.version > 0,
            "number_before": None
            if baseline.hold is None
            else find_before(book, baseline, now),
            "history": history[::-1][:_MOST_HISTORY],
            "is_cut": len(history) > _MOST_HISTORY,
            "track": track[::-1],
            "timeline": _draw_track(row, track, now),
            "uptakes": uptakes,
            "uptake": _draw_uptake(uptakes),
            "page": page,
            "has_more": len(names) > _ROWS,
        }

    values = await visit.read(read)
    return Page(
        template="baseline.html", title=f"Baseline {name}", values=values
    )


def _draw_track(
    row: dict[str, Any], track: Sequence[Stay], now: datetime.datetime
) -> Markup | None:
    """Draw a lane for each number, of the past and of what is to come."""
    if not track:
        return None
    coming = _list_coming(row, now)
    # Where somebody has to let it go it stays until then.
    is_waiting = any(each.begin == now for each in coming)
    turns = [] if is_waiting else [each.begin for each in coming]
    lanes: dict[str, list[Stretch]] = {}
    for stay in track:
        kind = "plain" if stay.end else "good"
        end = stay.end or min(turns, default=None)
        stretch = Stretch("stood there", kind, stay.begin, end)
        lanes.setdefault(_spell(stay.number), []).append(stretch)
    for each in coming:
        lanes.setdefault(each.name, []).append(each)
    ends = [(each.end or each.begin) + _AHEAD for each in coming]
    return draw_timeline(
        "At which number it stood, and what is to come",
        [Lane(label, stretches) for label, stretches in lanes.items()],
        track[0].begin,
        max([now + _AHEAD, *ends]),
        now,
    )


def _list_coming(
    row: dict[str, Any], now: datetime.datetime
) -> Sequence[Stretch]:
    pending, forecast = row["pending"], row["forecast"]
    found = []
    if pending is not None:
        # Whom somebody has to let go may go at once.
        begin = _read(pending["effective"]) or now
        name = f"{_spell(pending['number'])} (waits)"
        found.append(Stretch(name, "soon", begin, None))
    if forecast is not None:
        begin = max(_read(forecast["at"]) or now, now)
        name = f"{_spell(forecast['number'])} (forecast)"
        found.append(Stretch(name, "none", begin, None))
    return found


def _read(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)


def _spell(number: int | None) -> str:
    return "no number" if number is None else f"number {number}"


def _draw_uptake(uptakes: Sequence[dict[str, Any]]) -> Markup | None:
    bars = [
        Bar(
            each["tenant"],
            [
                Part("clients have fetched it", "good", each["fetched"]),
                Part(
                    "clients are behind",
                    "soon",
                    each["clients"] - each["fetched"],
                ),
            ],
            note=f"{each['fetched']} of {each['clients']}",
            link=f"/console/tenants/{each['tenant']}",
        )
        for each in uptakes
        if each["clients"]
    ]
    title = "Clients of each tenant that have fetched its number"
    return draw_bars(title, bars) if bars else None


async def _approve(visit: Visit) -> SeeOther:
    name, forced = visit.names["name"], is_forced(visit)

    def approve(planner: Planner) -> Promotion:
        return planner.approve(name, is_forced=forced)

    reason = read_reason(visit)
    await change(visit.service, visit.principal, reason, approve)
    return SeeOther(f"/console/baselines/{name}")


async def _demote(visit: Visit) -> SeeOther:
    name = visit.names["name"]

    def demote(planner: Planner) -> Promotion:
        return planner.demote(name)

    reason = read_reason(visit)
    await change(visit.service, visit.principal, reason, demote)
    return SeeOther(f"/console/baselines/{name}")


_READ: Final = Permission.READ
_DECIDE: Final = Permission.ADMINISTER
BASELINES: Final = (
    ("/baselines", "GET", ConsolePage(_READ, _list)),
    ("/baselines/{name}", "GET", ConsolePage(_READ, _show)),
    ("/baselines/{name}/approve", "POST", ConsolePage(_DECIDE, _approve)),
    ("/baselines/{name}/rollback", "POST", ConsolePage(_DECIDE, _demote)),
)
