"""
Charts: SVG that is made here, so that a page needs no program to draw it.

Each has a title for those who do not see it, takes its colours from the style
sheet by class, and stands beside the same numbers in words.  It is drawn twice,
for a screen and for a telephone, where a label stands above its row: the style
sheet shows the one that there is room for.
"""

from __future__ import annotations

import dataclasses

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup

from thim.errors import printable


_BAR: Final = 14
_GAP: Final = 6
_FOOT: Final = 22
_NOTE: Final = 80
_LEAST: Final = 1.5

_CHART: Final = Markup(
    '<svg class="chart {}" role="{}" aria-label="{}" viewBox="0 0 {} {}" '
    'preserveAspectRatio="xMinYMin meet">{}</svg>'
)
_BOX: Final = Markup(
    '<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2">'
    "<title>{}</title></rect>"
)
_LINE: Final = Markup(
    '<line class="{0}" x1="{1:.1f}" x2="{1:.1f}" y1="0" y2="{2}"/>'
)
_TEXT: Final = Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>')
_LINK: Final = Markup('<a href="{}">{}</a>')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """
    How much room there is, in pixels: *label* to the left of the bars, and
    *drop* above each of them.
    """

    name: str
    width: int
    label: int
    drop: int
    longest: int
    ticks: int

    @property
    def row(self) -> int:
        """How high a row is."""
        return self.drop + 24


_LAYOUTS: Final = (
    _Layout(name="wide", width=720, label=272, drop=0, longest=38, ticks=6),
    _Layout(name="narrow", width=368, label=0, drop=16, longest=52, ticks=3),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """
    A part of a bar: so many of one *kind* (``good``, ``soon``, ``bad``,
    ``none`` or ``plain``), called *name*.
    """

    name: str
    kind: str
    amount: float


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """
    A row of a bar chart: its parts from left to right, and what stands behind
    them.
    """

    label: str
    parts: Sequence[Part]
    note: str = ""
    link: str | None = None


def draw_bars(title: str, bars: Sequence[Bar], most: float = 0) -> Markup:
    """
    Draw *bars* below one another, to the scale of the longest, or of *most*.
    """
    longest = max([most, *(_length(bar) for bar in bars)], default=0) or 1
    return Markup("").join(
        _frame(
            title,
            layout,
            len(bars) * layout.row,
            _draw_rows(bars, layout, longest),
        )
        for layout in _LAYOUTS
    )


def _length(bar: Bar) -> float:
    return sum(part.amount for part in bar.parts)


def _draw_rows(bars: Sequence[Bar], layout: _Layout, longest: float) -> Markup:
    scale = (layout.width - layout.label - _NOTE) / longest
    return Markup("").join(
        _draw_bar(bar, index * layout.row, layout, scale)
        for index, bar in enumerate(bars)
    )


def _draw_bar(bar: Bar, top: int, layout: _Layout, scale: float) -> Markup:
    drawn = [_write_label(bar.label, top, layout, bar.link)]
    left, top = float(layout.label), top + layout.drop
    for part in bar.parts:
        if part.amount <= 0:
            continue
        width = max(part.amount * scale, _LEAST)
        text = f"{bar.label}: {part.name} {part.amount:g}"
        drawn.append(_box(left, top, width, part.kind, text))
        left += width
    drawn.append(_write(left + 6, top, bar.note, "note"))
    return Markup("").join(drawn)


@dataclasses.dataclass(frozen=True, slots=True)
class Stretch:
    """
    A time from *begin* to *end* (None: for ever), of one *kind* as in `Part`.
    """

    name: str
    kind: str
    begin: datetime
    end: datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class Lane:
    """
    A row of a timeline.
    """

    label: str
    stretches: Sequence[Stretch]
    link: str | None = None


def draw_timeline(
    title: str,
    lanes: Sequence[Lane],
    begin: datetime,
    end: datetime,
    now: datetime,
) -> Markup:
    """
    Draw *lanes* below one another, from *begin* to *end*, with a line at
    *now*.  What lies outside is cut off.
    """
    end = max(end, begin + timedelta(days=1))
    return Markup("").join(
        _draw_times(title, lanes, _Axis(layout, begin, end), now)
        for layout in _LAYOUTS
    )


def _draw_times(
    title: str, lanes: Sequence[Lane], axis: _Axis, now: datetime
) -> Markup:
    row, height = axis.layout.row, len(lanes) * axis.layout.row
    drawn = [_draw_lane(lane, i * row, axis) for i, lane in enumerate(lanes)]
    drawn += [_draw_tick(axis, at, height) for at in axis.ticks()]
    if axis.begin <= now <= axis.end:
        drawn.append(_LINE.format("now", axis.place(now), height))
    inside = Markup("").join(drawn)
    return _frame(title, axis.layout, height + _FOOT, inside)


@dataclasses.dataclass(frozen=True, slots=True)
class _Axis:
    layout: _Layout
    begin: datetime
    end: datetime

    def place(self, at: datetime | None) -> float:
        """Return how far right an instant is."""
        last = self.end if at is None else min(max(at, self.begin), self.end)
        share = (last - self.begin) / (self.end - self.begin)
        label, width = self.layout.label, self.layout.width
        return label + share * (width - label - 20)

    def ticks(self) -> list[datetime]:
        """Return instants to be written below."""
        step = (self.end - self.begin) / self.layout.ticks
        return [self.begin + step * i for i in range(self.layout.ticks)]

    @property
    def form(self) -> str:
        """How an instant is written: the shorter the time, the finer."""
        days = (self.end - self.begin).days
        return "%H:%M" if days <= 1 else "%d %b" if days <= 200 else "%b %Y"  # noqa: PLR2004


def _draw_lane(lane: Lane, top: int, axis: _Axis) -> Markup:
    drawn = [_write_label(lane.label, top, axis.layout, lane.link)]
    top += axis.layout.drop
    for each in lane.stretches:
        left = axis.place(each.begin)
        width = max(axis.place(each.end) - left, _LEAST)
        until = "" if each.end is None else f"{each.end:%F %H:%M}"
        text = f"{each.name}: {each.begin:%F %H:%M} to {until or 'for ever'}"
        drawn.append(_box(left, top, width, each.kind, text))
    return Markup("").join(drawn)


def _draw_tick(axis: _Axis, at: datetime, height: int) -> Markup:
    left = axis.place(at)
    text = _write(left + 2, height - _GAP, f"{at:{axis.form}}", "axis")
    return _LINE.format("tick", left, height) + text


def _frame(title: str, layout: _Layout, height: int, inside: Markup) -> Markup:
    # What is in a picture cannot be reached: not where some of it leads on.
    role = "group" if "<a " in inside else "img"
    text = printable(title)
    return _CHART.format(layout.name, role, text, layout.width, height, inside)


def _box(left: float, top: int, width: float, kind: str, text: str) -> Markup:
    place = left, top + _GAP // 2, width, _BAR
    return _BOX.format(kind, *place, printable(text))


def _write_label(
    text: str, top: int, layout: _Layout, link: str | None
) -> Markup:
    written = _write(0, top, _shorten(text, layout.longest), "label")
    if link is None:
        return written
    return _LINK.format(link, written)


def _write(left: float, top: float, text: str, kind: str) -> Markup:
    if not text:
        return Markup("")
    return _TEXT.format(kind, left, top + _BAR, printable(text))


def _shorten(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    # The end tells names apart that begin alike.
    half = longest // 2
    return f"{text[:half]}…{text[1 - half :]}"
