"""
Tables for people: as wide as the terminal, or as wide as it takes.

Into a file or a pipe each row is one line, whatever its width: nothing is cut
off, and nothing depends on who looks.  On a terminal wide columns are folded;
where even that leaves no room for a table, each row becomes a block of lines,
one for each column.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata

from typing import TYPE_CHECKING, Final

from thim.errors import printable


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Between columns, the second if there is no room for the first.
_GAPS: Final = ("  ", " ")
#: Cells, below which a column is not folded.
_NARROWEST: Final = 8
#: Cells, from which on what has no spaces may be folded anywhere.
_LONGEST: Final = 16
#: What stands before a second column.
_SECOND: Final = re.compile(r" *\S.*?  +(?=\S)")
#: Between words; within names of documents, lists, and instants.
_BREAKS: Final = re.compile(r"(?<=[ /,=])|(?<=\dT)(?=\d\d:)")


def write_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """
    Print *rows* below *titles*; what is in them cannot drive a terminal.
    """
    width = find_width()
    texts = [tuple(map(printable, row)) for row in rows]
    for line in lay_out(titles, texts, width, is_bold=_is_bold(os.environ)):
        sys.stdout.write(f"{line}\n")


def find_width() -> int | None:
    """
    Return how many cells standard output has in a line; None if it is no
    terminal.
    """
    is_one = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_one else None


def _is_bold(environ: Mapping[str, str]) -> bool:
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def lay_out(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    *,
    is_bold: bool = False,
) -> Iterator[str]:
    """
    Lay *rows* out below *titles*, for a terminal of *width* cells with titles
    in bold if *is_bold*; for something else if there is no *width*.
    """
    columns = list(zip(titles, *rows, strict=True))
    for gap in _GAPS:
        if widths := _fit(columns, width, gap):
            bold = "\x1b[1m{}\x1b[0m" if is_bold and width else "{}"
            yield from map(bold.format, _fold(titles, widths, gap))
            for row in rows:
                yield from _fold(row, widths, gap)
            return
    yield from _list_blocks(titles, rows)


def _fit(
    columns: Sequence[Sequence[str]], width: int | None, gap: str
) -> Sequence[int] | None:
    """
    Narrow the widest columns until all fit; the first one stays as it is, as a
    name that is to be copied.
    """
    widths = [max(map(_cells, column)) for column in columns]
    if width is None:
        return widths
    least = [widths[0], *map(_narrowest, columns[1:])]
    spare = width - len(gap) * (len(widths) - 1)
    while sum(widths) > spare:
        can = [n for n, cells in enumerate(widths) if cells > least[n]]
        if not can:
            return None
        widths[max(can, key=lambda n: widths[n])] -= 1
    return widths


def _narrowest(column: Sequence[str]) -> int:
    title, *texts = column
    words = [_cells(word) for word in title.split()]
    parts = [_cells(part.rstrip()) for t in texts for part in _split(t)]
    longest = min(max(parts, default=0), _LONGEST)
    return max(*words, longest, min(_NARROWEST, max(map(_cells, column))))


def _list_blocks(
    titles: Sequence[str], rows: Sequence[Sequence[str]]
) -> Iterator[str]:
    """One line for each column of a row, and an empty one between rows."""
    margin = max(map(_cells, titles))
    for n, row in enumerate(rows):
        if n:
            yield ""
        for title, text in zip(titles, row, strict=True):
            yield f"{_pad(title, margin)}{_GAPS[0]}{text}".rstrip()


def _fold(row: Sequence[str], widths: Sequence[int], gap: str) -> Iterator[str]:
    """Write a row, in as many lines as its longest cell takes."""
    cells = [list(wrap(t, w)) for t, w in zip(row, widths, strict=True)]
    for n in range(max(map(len, cells))):
        texts = [cell[n] if n < len(cell) else "" for cell in cells]
        padded = (_pad(t, w) for t, w in zip(texts, widths, strict=True))
        yield gap.join(padded).rstrip()


def lay_line(text: str, width: int | None) -> Iterator[str]:
    """
    Lay a line of text out for a terminal of *width* cells: what does not fit
    goes on below its second column, or a little further in than it began.
    """
    if width is None or _cells(text) <= width:
        yield text
        return
    column = _SECOND.match(text)
    begin = margin = column.end() if column else 0
    if not 0 < margin <= width // 2:
        begin = len(text) - len(text.lstrip())
        margin = begin + 2 if begin else 0
    head, *lines = wrap(text[begin:], width - margin)
    yield f"{text[:begin]}{head}"
    yield from (f"{' ' * margin}{line}" for line in lines)


def _split(text: str) -> list[str]:
    return _BREAKS.split(text)


def wrap(text: str, width: int) -> Iterator[str]:
    """
    Break *text* into lines of at most *width* cells: between words, within
    names and instants, and if need be anywhere.
    """
    line = ""
    for part in _split(text):
        if line and _cells(line + part.rstrip()) > width:
            yield line.rstrip()
            line = ""
        line += part
        while _cells(line.rstrip()) > width:
            at = _count_fitting(line, width)
            yield line[:at]
            line = line[at:]
    yield line.rstrip()


def _count_fitting(text: str, width: int) -> int:
    """Count the characters that fit; one at least."""
    n = 1
    while _cells(text[: n + 1]) <= width:
        n += 1
    return n


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _cells(text))


def _cells(text: str) -> int:
    """Count the cells of a terminal that *text* takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))
