"""
Tables for people: as wide as the terminal, or as wide as it takes.
"""

from __future__ import annotations

import sys

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from thim.errors import printable


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Into a file or a pipe nothing is cut off.
_WIDTH: Final = 400


def write_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """
    Print *rows* below *titles*; what is in them cannot drive a terminal.
    """
    table = Table(box=None, pad_edge=False)
    for title in titles:
        # The first column is a name to be copied: it is never broken.
        table.add_column(title, overflow="fold", no_wrap=title == titles[0])
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        console.print(table)
        return
    console = Console(highlight=False, markup=False, width=_WIDTH)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        sys.stdout.write(f"{line.rstrip()}\n")
