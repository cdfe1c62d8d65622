"""
Intel's platforms: which there are, and how one stands.
"""

from __future__ import annotations

import enum
import json
import urllib.parse

from typing import TYPE_CHECKING, Any, Final, TypeVar

from thim.baseline.standing import Standing
from thim.collateral.platforms import PlatformId
from thim.collateral.targets import pck_target
from thim.errors import MalformedError, NotFoundError, ParameterError
from thim.http.console.charts import Bar, Part, draw_bars
from thim.http.console.guard import ConsolePage
from thim.http.console.visit import Page, Visit
from thim.intel.names import PckCa
from thim.intel.pcs import parse_fmspc
from thim.services.platform_admin import list_by_id, parse_labels
from thim.services.platform_standing import find_tcb, list_standings
from thim.services.platform_views import (
    ask_by,
    describe_platform,
    find_successor,
)
from thim.services.tokens import Permission
from thim.store.outlook_view import OutlookView
from thim.store.pck import PckReader
from thim.store.platform_view import (
    PlatformFilter,
    PlatformPage,
    PlatformState,
    PlatformView,
)
from thim.store.watch import Watch


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from markupsafe import Markup

    from thim.collateral.platforms import Platform
    from thim.services.platform_standing import PlatformStanding
    from thim.store.replica import Replica

STATES: Final = {
    PlatformState.IN_SERVICE: "in service",
    PlatformState.BARE: "without a PCK certificate",
    PlatformState.REVOKED: "with a revoked PCK certificate",
    PlatformState.RETIRED: "retired",
    PlatformState.REPLACED: "replaced",
}
E = TypeVar("E", bound=enum.Enum)

_MOST_TEXT: Final = 400
_SHOWN: Final = 20
_FIELDS: Final = ("begins", "label", "fmspc", "ca", "state")
_CONFIGURE: Final = frozenset(
    {
        Standing.CONFIGURATION_NEEDED,
        Standing.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    }
)
_UNSAID: Final = frozenset({Standing.NO_DOCUMENT, Standing.NO_TDX_SVNS})


async def _list(visit: Visit) -> Page:
    asked = read_asked(visit.query, _FIELDS)
    wanted = _read_filter(asked)
    after = visit.query.get("after", "")

    def read(replica: Replica, _now: datetime) -> dict[str, Any]:
        found = _find(replica, wanted, asked["begins"], after)
        known, bare = Watch(replica).count_platforms()
        return {
            "platforms": found.platforms,
            "after": found.after,
            "known": known,
            "bare": bare,
            "revoked": Watch(replica).revoked_platforms(),
            "families": _read_families(replica),
            "taken": OutlookView(replica).taken(),
        }

    found = await visit.read(read)
    return Page(
        template="platforms.html",
        title="Platforms",
        values={
            **found,
            "asked": asked,
            "address": write_address("/console/platforms", asked),
            "is_first": not after,
            "states": {state.value: name for state, name in STATES.items()},
            "state_name": STATES[wanted.state],
            "are_revoked": wanted.state is PlatformState.REVOKED,
            "cas": [ca.value for ca in PckCa],
            "ask_by": ask_by,
            "drawn": _draw_families(found["families"]),
        },
    )


def read_asked(
    query: Mapping[str, str], fields: Sequence[str]
) -> dict[str, str]:
    """
    Return what was asked for by these *fields* of a form, bounded.

    Raises:
        ParameterError: A text is too long.
    """
    asked = {name: query.get(name, "").strip() for name in fields}
    for name, text in asked.items():
        if len(text) > _MOST_TEXT:
            expected = f"expected at most {_MOST_TEXT} characters"
            raise ParameterError(name, text, expected)
    return asked


def write_address(path: str, asked: Mapping[str, str]) -> str:
    """
    Write the address of a list with what was *asked*, to be gone on with by a
    parameter.
    """
    query = urllib.parse.urlencode({k: v for k, v in asked.items() if v})
    return f"{path}?{query}&" if query else f"{path}?"


def _read_filter(asked: Mapping[str, str]) -> PlatformFilter:
    fmspc, label = asked["fmspc"], asked["label"]
    found = parse_labels([label]) if label else {}
    return PlatformFilter(
        state=choose(PlatformState, "state", asked) or PlatformState.IN_SERVICE,
        begins=asked["begins"],
        fmspc=parse_fmspc({"fmspc": fmspc}) if fmspc else None,
        ca=choose(PckCa, "ca", asked),
        label=next(((k, v or "") for k, v in found.items()), None),
    )


def choose(kind: type[E], name: str, asked: Mapping[str, str]) -> E | None:
    """
    Return which *kind* was *asked* for under a *name*; None where that is
    empty.

    Raises:
        ParameterError: There is none like that.
    """
    if not asked[name]:
        return None
    try:
        return kind(asked[name])
    except ValueError:
        known = " or ".join(each.value for each in kind)
        raise ParameterError(name, asked[name], f"expected {known}") from None


def _find(
    replica: Replica, wanted: PlatformFilter, text: str, after: str
) -> PlatformPage:
    by_id = list_by_id(PckReader(replica), text)
    if by_id:
        return PlatformPage(platforms=tuple(by_id), after=None)
    return PlatformView(replica).page(wanted, after)


def _read_families(replica: Replica) -> dict[str, int]:
    # As they were last counted, beside everything else of the fleet.
    outlooks = map(json.loads, OutlookView(replica).bodies().values())
    found: dict[str, int] = {}
    for outlook in outlooks:
        for fmspc, count in outlook.get("families", {}).items():
            # Tenants share platforms: the largest has them all, or nearly.
            found[fmspc] = max(found.get(fmspc, 0), count)
    return found


def _draw_families(families: Mapping[str, int]) -> Markup:
    most = sorted(families.items(), key=lambda pair: (-pair[1], pair[0]))
    bars = [
        Bar(
            fmspc,
            [Part("platforms", "plain", count)],
            note=f"{count}",
            link=f"/console/platforms?fmspc={fmspc}",
        )
        for fmspc, count in most[:_SHOWN]
    ]
    return draw_bars("Platforms of each FMSPC", bars)


async def _show(visit: Visit) -> Page:
    id_ = _read_id(visit.names)

    def read(replica: Replica, now: datetime) -> dict[str, Any]:
        reader = PckReader(replica)
        found = reader.find_platform(id_)
        if found is None:
            msg = f"no platform {id_} is known"
            raise NotFoundError(msg, reason="unknown-platform")
        progress = Watch(replica).find(pck_target(id_))
        tcb = find_tcb(replica, found)
        standings = list_standings(replica, found, tcb, now) if tcb else ()
        facts = describe_platform(found, reader, now, progress)
        return {
            "platform": found,
            "facts": facts,
            "successor": find_successor(found, reader),
            "progress": progress,
            "tcb": tcb,
            "standings": [(kind_of(s.standing), s) for s in standings],
            "verdict": _sum_up(found, standings, _list_flaws(facts)),
        }

    values = await visit.read(read)
    return Page(
        template="platform.html",
        title=values["platform"].name or f"Platform {id_}",
        values={**values, "ask_by": ask_by},
    )


def _read_id(names: Mapping[str, str]) -> PlatformId:
    try:
        qe_id, pce_id = map(bytes.fromhex, (names["qe_id"], names["pce_id"]))
        return PlatformId(qe_id, pce_id)
    except (ValueError, MalformedError) as e:
        msg = "a platform is named by 32 and 4 hexadecimal digits"
        raise NotFoundError(msg, reason="unknown-platform") from e


def kind_of(standing: Standing) -> str:
    """
    Return the colour of a *standing*.
    """
    if standing.is_acceptable:
        return "good"
    if standing in _UNSAID:
        return "none"
    return "soon" if standing in _CONFIGURE else "bad"


def _list_flaws(facts: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with the PCK certificates that it is given."""
    given = {each["tcbm"] for each in facts["raw_tcbs"]}
    return sorted(
        {
            each["state"]
            for each in facts["certificates"]
            if each["tcbm"] in given and each["state"] != "valid"
        }
    )


def _sum_up(
    platform: Platform,
    standings: Sequence[PlatformStanding],
    flaws: Sequence[str],
) -> tuple[str, str]:
    """Say in a sentence, with its colour, how the platform stands."""
    if platform.retired is not None:
        return "none", "Out of service"
    if flaws:
        # Whatever its TCB is: no quote of it gets as far as that.
        why = "verifiers refuse its quotes"
        return "bad", f"Its PCK certificate: {', '.join(flaws)}; {why}"
    if not standings:
        return "none", "No tenant has it at a number, or its TCB is not known"
    short = {s.tenant for s in standings if not s.standing.is_acceptable}
    if not short:
        return "good", "At the baseline of every tenant that has it"
    return "bad", f"Below the baseline of {', '.join(sorted(short))}"


_READ: Final = Permission.READ
PLATFORMS: Final = (
    ("/platforms", "GET", ConsolePage(_READ, _list)),
    ("/platforms/{qe_id}/{pce_id}", "GET", ConsolePage(_READ, _show)),
)
