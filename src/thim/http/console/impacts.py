"""
What a change does to platforms, drawn.
"""

from __future__ import annotations

import dataclasses
import itertools

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.standing import Standing
from thim.http.console.charts import Bar, Part, draw_bars


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from markupsafe import Markup

    from thim.baseline.rollout import Broken, Impact

_STAY: Final = "stay acceptable"
_BETTER: Final = "become acceptable"
_ALREADY: Final = "not acceptable already"
_BREAK: Final = "would break"
_UNJUDGED: Final = "not judged"
#: What the parts of a bar mean, in the order in which they stand.
LEGEND: Final = {
    _STAY: "good",
    _BETTER: "plain",
    _ALREADY: "soon",
    _BREAK: "bad",
    _UNJUDGED: "none",
}
#: The same of a plan's, where nobody is told of who becomes acceptable.
PLAN_LEGEND: Final = {
    name: kind for name, kind in LEGEND.items() if name != _BETTER
}
_MOST_GROUPS: Final = 100
_STANDINGS: Final = {str(standing): standing for standing in Standing}
#: Of which nothing is said, as ``Impact.judged`` counts.
_UNSAID: Final = frozenset({Standing.NO_DOCUMENT, Standing.NO_TDX_SVNS})


def draw_impacts(impacts: Sequence[Impact]) -> Markup | None:
    """
    Draw a bar for each tenant; None where no platform is concerned.
    """
    bars = [_draw(impact) for impact in impacts if impact.platforms]
    title = "Platforms of each tenant by what the change does to them"
    return draw_bars(title, bars) if bars else None


def _draw(impact: Impact) -> Bar:
    stay = impact.judged - impact.unacceptable - impact.breaking
    amounts = {
        _STAY: stay,
        _ALREADY: impact.unacceptable,
        _BREAK: impact.breaking,
        _UNJUDGED: impact.platforms - impact.judged,
    }
    return Bar(
        f"{impact.tenant}: {spell_numbers(impact.before, impact.after)}",
        _list_parts(amounts),
        note=f"{impact.breaking} of {impact.platforms}",
        link=f"/console/tenants/{impact.tenant}",
    )


def _list_parts(amounts: Mapping[str, int]) -> list[Part]:
    return [
        Part(name, kind, amounts[name])
        for name, kind in LEGEND.items()
        if amounts.get(name)
    ]


def spell_numbers(before: int | None, after: int | None) -> str:
    """
    Write from which number to which a tenant goes.
    """
    spelled = ("none" if n is None else str(n) for n in (before, after))
    return " → ".join(spelled)


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """
    Platforms of a *tenant* that would break for the same reasons, which are
    those of *each*.
    """

    tenant: str
    each: Broken
    names: Sequence[str]


def group_broken(tenant: str, broken: Iterable[Broken]) -> list[Group]:
    """
    Put those together that would break for the same reasons, the most first.
    """
    found: dict[Broken, list[str]] = {}
    for each in broken:
        alike = dataclasses.replace(each, name="")
        found.setdefault(alike, []).append(each.name)
    groups = [Group(tenant, each, names) for each, names in found.items()]
    return sorted(groups, key=lambda group: -len(group.names))


def group_examples(impacts: Sequence[Impact]) -> list[Group]:
    """
    Put those together that would break of each tenant, no more than a page
    takes.
    """
    groups = (group_broken(i.tenant, i.examples) for i in impacts)
    return list(itertools.chain.from_iterable(groups))[:_MOST_GROUPS]


def count_standings(
    answer: Mapping[str, Any],
) -> Sequence[tuple[str, Mapping[str, int]]]:
    """
    Count the platforms in the *answer* to a what-if (``to_json`` of
    ``services.fleet_question``) for each TEE, by what becomes of them.
    """
    return [
        (report["tee"], dict(_count(report["standings"])))
        for report in answer["tees"]
    ]


def _count(standings: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    amounts = dict.fromkeys(LEGEND, 0)
    for each in standings:
        now, then = _STANDINGS[each["now"]], _STANDINGS[each["then"]]
        if now is Standing.NO_TDX_SVNS:  # no TD was seen there: not for TDX
            continue
        amounts[_sort(now, then)] += each["platforms"]
    yield from amounts.items()


def _sort(now: Standing, then: Standing) -> str:
    if now.is_acceptable:
        return _STAY if then.is_acceptable else _BREAK
    if then.is_acceptable:
        return _BETTER
    return _UNJUDGED if now in _UNSAID else _ALREADY


def draw_standings(
    counted: Sequence[tuple[str, Mapping[str, int]]],
) -> Markup | None:
    """
    Draw a bar for each TEE; None where there is no platform.
    """
    bars = [
        Bar(tee, _list_parts(amounts), note=f"{amounts[_BREAK]} break")
        for tee, amounts in counted
        if any(amounts.values())
    ]
    title = "Platforms by TEE and by what becomes of them"
    return draw_bars(title, bars) if bars else None
