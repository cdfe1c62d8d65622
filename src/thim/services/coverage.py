"""
For which times the archive has a valid document, and where it has none.
"""

from __future__ import annotations

import dataclasses
import itertools

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from thim.collateral.records import CollateralKey
    from thim.store.replica import Entry


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which no archived document was valid."""

    begin: datetime
    end: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """
    What the archive has of one key and evaluation number.

    *begin* is the first issue date, *end* the last next update (None if the
    documents have none).
    """

    key: CollateralKey
    evaluation_number: int | None
    documents: int
    begin: datetime
    end: datetime | None
    gaps: tuple[Gap, ...]


def find_coverage(entries: Iterable[Entry]) -> list[Coverage]:
    """
    Say from when to when each series in *entries* is covered.

    *entries* of a key and number come together, in any order.
    """
    grouped = itertools.groupby(
        entries, key=lambda e: (e.key, e.evaluation_number)
    )
    return [
        _cover(sorted(series, key=lambda e: e.issued)) for _, series in grouped
    ]


def _cover(series: list[Entry]) -> Coverage:
    ends = [e.next_update for e in series if e.next_update is not None]
    return Coverage(
        key=series[0].key,
        evaluation_number=series[0].evaluation_number,
        documents=len(series),
        begin=series[0].issued,
        end=max(ends, default=None),
        gaps=tuple(_find_gaps(series)),
    )


def _find_gaps(series: list[Entry]) -> Iterable[Gap]:
    covered = series[0].next_update
    for entry in series[1:]:
        if covered is None:  # what never expires covers all that follows
            return
        if covered < entry.issued:
            yield Gap(begin=covered, end=entry.issued)
        if entry.next_update is None or entry.next_update > covered:
            covered = entry.next_update
