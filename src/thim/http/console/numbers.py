"""
Evaluation numbers: what each is worth, who stands there, and how two differ.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import urllib.parse

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.errors import ParameterError
from thim.http.console.charts import Lane, Stretch, draw_timeline
from thim.http.console.differences import describe_pair
from thim.http.console.guard import ConsolePage
from thim.http.console.visit import Page, Visit
from thim.services.baseline_views import describe_baseline
from thim.services.landscape import read_landscape
from thim.services.number_diff import diff_numbers
from thim.services.number_facts import read_facts
from thim.services.number_phases import Phase, find_phases
from thim.services.number_words import LEGEND
from thim.services.tenant_states import list_states
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from markupsafe import Markup

    from thim.intel.names import Update
    from thim.services.number_diff import NumberDifference
    from thim.services.number_facts import NumberFacts
    from thim.services.number_phases import Span
    from thim.store.replica import Replica

_MOST_NUMBER: Final = 999_999_999
_MOST_PAGES: Final = 100_000
#: Differing documents on one page: each has tables of its own.
_PAIRS: Final = 10
_BEYOND: Final = timedelta(days=60)
_KINDS: Final = {
    Phase.AHEAD: "plain",
    Phase.STANDARD: "good",
    Phase.BEHIND: "none",
    Phase.WITHDRAWN: "soon",
    Phase.SIGNED: "plain",
    Phase.UNKNOWN: "none",
}
_ADVISORY: Final = re.compile(r"INTEL-SA-\d{5}", re.ASCII)
_ADVISORIES: Final = (
    "https://www.intel.com/content/www/us/en/security-center/advisory/"
)


@dataclasses.dataclass(frozen=True, slots=True)
class _Number:
    """A number, the channels that point to it, and who stands there."""

    facts: NumberFacts
    phases: Sequence[Span]
    channels: Sequence[Update]
    baselines: Sequence[str]
    tenants: Sequence[str]


async def _show(visit: Visit) -> Page:
    before = visit.find_number("before", 0, _MOST_NUMBER)
    after = visit.find_number("after", 0, _MOST_NUMBER)
    if before or after:
        return await _compare(visit, before, after)
    numbers, now = await visit.read(lambda r, now: (_read(r, now), now))
    return Page(
        template="numbers.html",
        title="Evaluation numbers",
        values={
            "numbers": numbers,
            "known": [each.facts.number for each in numbers],
            "timeline": _draw(numbers, now),
            "legend": _list_kinds(numbers),
            "before": _suggest(numbers),
            "after": numbers[0].facts.number if numbers else 0,
        },
    )


def _read(replica: Replica, now: datetime) -> list[_Number]:
    history, channels = replica.number_history(), replica.channels()
    tenants = [(s.number, s.tenant) for s in list_states(replica, now)]
    baselines = list(_list_baselines(replica, now))
    found = []
    for number in sorted(read_landscape(replica).known, reverse=True):
        facts = read_facts(replica, number, now)
        made = _Number(
            facts=facts,
            phases=find_phases(facts, history),
            channels=[u for u, n in channels.items() if n == number],
            baselines=[name for n, name in baselines if n == number],
            tenants=[name for n, name in tenants if n == number],
        )
        found.append(made)
    return found


def _list_baselines(
    replica: Replica, now: datetime
) -> Iterable[tuple[int | None, str]]:
    for baseline in replica.book().baselines(now):
        if not baseline.name.isdecimal():  # each number is one, too
            row = describe_baseline(replica, baseline, now)
            yield row["number"], baseline.name


def _draw(numbers: Sequence[_Number], now: datetime) -> Markup | None:
    lanes = [
        Lane(f"number {each.facts.number}", [_stretch(s) for s in each.phases])
        for each in numbers
        if each.phases
    ]
    if not lanes:
        return None
    spans = [span for each in numbers for span in each.phases]
    ends = [span.end for span in spans if span.end is not None]
    begin = min(span.begin for span in spans)
    end = max([*ends, now + _BEYOND])
    return draw_timeline("Numbers over time", lanes, begin, end, now)


def _list_kinds(numbers: Sequence[_Number]) -> list[tuple[str, str]]:
    """Say what the colours of those phases mean that are drawn."""
    drawn = {span.phase for each in numbers for span in each.phases}
    return [(kind, p.value) for p, kind in _KINDS.items() if p in drawn]


def _stretch(span: Span) -> Stretch:
    return Stretch(span.phase.value, _KINDS[span.phase], span.begin, span.end)


def _suggest(numbers: Sequence[_Number]) -> int:
    """Suggest the highest below the newest at which some tenant stands."""
    taken = [each.facts.number for each in numbers[1:] if each.tenants]
    return max(taken, default=numbers[-1].facts.number if numbers else 0)


async def _compare(visit: Visit, before: int, after: int) -> Page:
    for name, number in (("before", before), ("after", after)):
        if not number:
            raise ParameterError(name, "", "expected a number")
    fmspc = visit.query.get("fmspc", "").strip()
    page = visit.find_number("page", 0, _MOST_PAGES)
    found, known = await visit.read(
        lambda replica, _: (
            diff_numbers(replica, before, after, [fmspc] if fmspc else None),
            sorted(read_landscape(replica).known, reverse=True),
        )
    )
    pairs = [p for p in found.pairs if p.difference and p.difference.is_change]
    shown = itertools.islice(pairs, page * _PAIRS, (page + 1) * _PAIRS)
    return Page(
        template="differences.html",
        title=f"Number {before} and number {after}",
        values={
            "found": found,
            "known": known,
            "before": before,
            "after": after,
            "fmspc": fmspc,
            "changed": [str(pair) for pair in pairs],
            "same": _list_same(found),
            "pairs": [describe_pair(pair, before, after) for pair in shown],
            "legend": LEGEND,
            "link": find_advisory,
            "page": page,
            "has_more": len(pairs) > (page + 1) * _PAIRS,
            "address": _find_address(before, after, fmspc),
        },
    )


def _list_same(found: NumberDifference) -> list[str]:
    return [
        str(pair)
        for pair in found.pairs
        if pair.difference is not None and not pair.difference.is_change
    ]


def _find_address(before: int, after: int, fmspc: str) -> str:
    query = {"before": before, "after": after, "fmspc": fmspc}
    return f"/console/numbers?{urllib.parse.urlencode(query)}&"


def find_advisory(name: str) -> str | None:
    """
    Return where Intel has the advisory of this *name*; None if it has none of
    Intel's names.
    """
    if not _ADVISORY.fullmatch(name):
        return None
    return f"{_ADVISORIES}{name.lower()}.html"


NUMBERS: Final = (("/numbers", "GET", ConsolePage(Permission.READ, _show)),)
