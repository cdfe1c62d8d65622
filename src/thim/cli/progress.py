"""
How far long work is, for who waits for it at a terminal.

It is shown on standard error, and taken away at the end.  Where that is no
terminal, or a program is to read the answer, nothing is shown.
"""

from __future__ import annotations

import contextlib
import os
import sys

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Note(ProgressColumn):
    """What else there is to say; how many there were, if not of how many."""

    def render(self, task: Task) -> Text:
        """Write the task's note."""
        note = task.fields.get("note")
        if note is None and task.total is None and task.completed:
            note = f"{task.completed:.0f}"
        return Text(note or "")


def make_progress(*, as_json: bool) -> Progress:
    """
    Make bars with a description, a share if a total is known, and a note.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        _Note(),
        console=Console(stderr=True),
        disable=as_json or not _is_shown(),
        transient=True,
        # What is written meanwhile goes where it should: not above the bar if
        # that is on another terminal, or in a file.
        redirect_stdout=_is_terminal(sys.stdout),
    )


@contextlib.contextmanager
def working(what: str, *, as_json: bool) -> Iterator[Callable[[str], None]]:
    """
    Show that *what* is under way, and for how long; what is given takes a note
    of how far it is.
    """
    with make_progress(as_json=as_json) as progress:
        task = progress.add_task(what, total=None)
        yield lambda note: progress.update(task, note=note)


def _is_shown() -> bool:
    return _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


def _is_terminal(stream: object) -> bool:
    is_one = getattr(stream, "isatty", None)
    return bool(is_one and is_one())
