"""
The history of a document, drawn: all its versions, and where there is none.
"""

from __future__ import annotations

import itertools

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.http.console.charts import Lane, Stretch, draw_timeline
from thim.services.coverage import find_coverage


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from markupsafe import Markup

    from thim.store.archive_view import Version

#: How long what never ends is drawn beyond today.
_BEYOND: Final = timedelta(days=30)


def draw_history(versions: Sequence[Version], now: datetime) -> Markup | None:
    """
    Draw *versions*, the newest first, in a lane for each number; None where
    there are none.
    """
    if not versions:
        return None
    ordered = sorted(
        versions,
        key=lambda v: (-(v.entry.evaluation_number or 0), v.entry.issued),
    )
    lanes = [
        _draw_lane(number, list(series), now)
        for number, series in itertools.groupby(
            ordered, key=lambda v: v.entry.evaluation_number
        )
    ]
    begin, end = _find_ends(versions, now)
    title = f"Versions of {versions[0].entry.key} over time"
    return draw_timeline(title, lanes, begin, end, now)


def _find_ends(
    versions: Iterable[Version], now: datetime
) -> tuple[datetime, datetime]:
    entries = [version.entry for version in versions]
    ends = [e.next_update for e in entries if e.next_update is not None]
    end = max([now, *ends])
    if len(ends) < len(entries):
        end = max(end, now + _BEYOND)
    return min(e.issued for e in entries), end


def _draw_lane(
    number: int | None, series: Sequence[Version], now: datetime
) -> Lane:
    drawn = [*_draw_gaps(series), *_draw_versions(series, now)]
    label = "all versions" if number is None else f"number {number}"
    return Lane(label, drawn)


def _draw_versions(
    series: Sequence[Version], now: datetime
) -> Iterator[Stretch]:
    for version in series:
        entry = version.entry
        kind = _find_kind(version, now)
        name = f"{entry.sha256.hex()[:12]}, {_NAMES[kind]}"
        yield Stretch(name, kind, entry.issued, entry.next_update)


_NAMES: Final = {
    "good": "served today",
    "soon": "the newest, expired",
    "bad": "its signer is revoked",
    "plain": "replaced",
}


def _find_kind(version: Version, now: datetime) -> str:
    entry = version.entry
    if version.is_revoked:
        return "bad"
    if not entry.is_head:
        return "plain"
    until = entry.next_update
    return "good" if until is None or now <= until else "soon"


def _draw_gaps(series: Sequence[Version]) -> Iterator[Stretch]:
    for covered in find_coverage([version.entry for version in series]):
        for gap in covered.gaps:
            yield Stretch("no document is valid", "none", gap.begin, gap.end)
