"""
Tables for people: as wide as the terminal, or as wide as it takes.

Into a file or a pipe each row is one line, whatever its width: nothing is cut
off, and nothing depends on who looks.  On a terminal wide columns are folded;
where even that leaves no room for a table, each row becomes a block of lines,
one for each column.
"""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata

from typing import TYPE_CHECKING, Final

from thim.errors import printable


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_GAP: Final = "  "
#: Cells, below which a column is not folded.
_NARROWEST: Final = 12


def write_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """
    Print *rows* below *titles*; what is in them cannot drive a terminal.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    texts = [tuple(map(printable, row)) for row in rows]
    for line in lay_out(titles, texts, width, is_bold=_is_bold(os.environ)):
        sys.stdout.write(f"{line}\n")


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
    natural = [
        max(map(_cells, column)) for column in zip(titles, *rows, strict=True)
    ]
    widths = natural if width is None else _fit(natural, titles, width)
    if widths is None:
        yield from _list_blocks(titles, rows)
        return
    bold = "\x1b[1m{}\x1b[0m" if is_bold and width is not None else "{}"
    yield from map(bold.format, _fold(titles, widths))
    for row in rows:
        yield from _fold(row, widths)


def _fit(
    natural: Sequence[int], titles: Sequence[str], width: int
) -> Sequence[int] | None:
    """
    Narrow the widest columns until all fit; the first one stays as it is, as a
    name that is to be copied.
    """
    widths = list(natural)
    least = [
        min(most, max(_NARROWEST, _cells(title)))
        for most, title in zip(natural, titles, strict=True)
    ]
    spare = width - len(_GAP) * (len(widths) - 1)
    while sum(widths) > spare:
        can = [n for n in range(1, len(widths)) if widths[n] > least[n]]
        if not can:
            return None
        widths[max(can, key=lambda n: widths[n])] -= 1
    return widths


def _list_blocks(
    titles: Sequence[str], rows: Sequence[Sequence[str]]
) -> Iterator[str]:
    """One line for each column of a row, and an empty one between rows."""
    margin = max(map(_cells, titles))
    for n, row in enumerate(rows):
        if n:
            yield ""
        for title, text in zip(titles, row, strict=True):
            yield f"{_pad(title, margin)}{_GAP}{text}".rstrip()


def _fold(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Write a row, in as many lines as its longest cell takes."""
    cells = [list(_wrap(t, w)) for t, w in zip(row, widths, strict=True)]
    for n in range(max(map(len, cells))):
        texts = [cell[n] if n < len(cell) else "" for cell in cells]
        padded = (_pad(t, w) for t, w in zip(texts, widths, strict=True))
        yield _GAP.join(padded).rstrip()


def _wrap(text: str, width: int) -> Iterator[str]:
    """Break *text* at spaces, or where there is none anywhere."""
    while _cells(text) > width:
        fits = 1
        while _cells(text[: fits + 1]) <= width:
            fits += 1
        space = text.rfind(" ", 1, fits + 1)
        at = fits if space < 1 else space
        yield text[:at].rstrip()
        text = text[at:].lstrip()
    yield text


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _cells(text))


def _cells(text: str) -> int:
    """Count the cells of a terminal that *text* takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))
