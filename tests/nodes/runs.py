"""
Several runs at once, each in a process of its own: what one leaves behind is
cleared away, and one that dies is no more than wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time

from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from tests.nodes.found import Found
from tests.nodes.network import sweep


#: For how long a run that is to end may take to clear away what it made.
_PATIENCE: Final = 30.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    A run's *name*, and the *program* that does it, as Python is told: it gets
    the file for its `Found` and then *arguments*.
    """

    name: str
    program: Sequence[str]
    arguments: Sequence[str] = ()


class Running:
    """
    A run whose files are in *folder*, those of the simulations and servers it
    starts too.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self.name = run.name
        self.folder = folder / run.name.replace(" ", "-")
        # PostgreSQL is somebody else, and has to get at its files.
        self.folder.mkdir(mode=0o755)
        self._found = self.folder / "found.json"
        self._errors = self.folder / "errors"
        words = [str(self._found), *run.arguments]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *run.program, *words],
                env={**os.environ, "TMPDIR": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stderr=errors,
                # A terminal's Ctrl-C is for whoever started it.
                start_new_session=True,
            )

    def has_ended(self) -> bool:
        """
        Tell whether it has come to its end.
        """
        return self._process.poll() is not None

    def take(self) -> Found:
        """
        Return what it came to; its end, if it died.  Its files are left only
        where something was wrong.
        """
        left = sweep(self._process.pid)
        if self._process.returncode or not self._found.exists():
            found = Found(name=self.name, wrong=[self._describe_end()])
        else:
            found = Found.read(self._found)
            found.wrong += [f"it left {name}" for name in left]
        if not found.wrong:
            shutil.rmtree(self.folder)
        return found

    def _describe_end(self) -> str:
        text = self._errors.read_text(errors="replace")
        return f"it ended with {self._process.returncode}: {text[-3000:]}"

    def ask_to_end(self) -> None:
        """
        Have it end before its time.
        """
        self._process.terminate()

    def end(self) -> None:
        """
        See to it that it ends, a while after it was asked to.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        sweep(self._process.pid)


def play(
    runs: Iterable[Run], folder: Path, at_once: int, pause: float = 0.0
) -> Generator[Found]:
    """
    Do *runs*, so many *at once*, and yield what each came to when it ends; two
    begin *pause* seconds apart.  If it is closed, all end.
    """
    waiting, running = list(runs), list[Running]()
    begun = -pause
    try:
        while waiting or running:
            is_time = time.monotonic() - begun >= pause
            if waiting and len(running) < at_once and is_time:
                running.append(Running(waiting.pop(0), folder))
                begun = time.monotonic()
            for each in [each for each in running if each.has_ended()]:
                running.remove(each)
                yield each.take()
            time.sleep(0.1)
    finally:
        for each in running:
            each.ask_to_end()
        for each in running:
            each.end()


def exit_on_signals() -> None:
    """
    Have SIGINT and SIGTERM raise SystemExit, so that all is cleared away, and
    nothing disturb that.
    """
    for each in _SIGNALS:
        signal.signal(each, _exit)


def _exit(number: int, _: FrameType | None) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def say(text: str) -> None:
    """
    Write a line at once and whole, whoever else writes.
    """
    sys.stdout.write(f"{time.strftime('%T')} {text}\n")
    sys.stdout.flush()
