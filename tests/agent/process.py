"""
`thim agent` as an operator starts it: a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.serving import Served


_READY = re.compile(r"thim agent answers on http://[^ ]+:(\d+)")
_STARTED = "Application startup complete"


class Process:
    """
    A running `thim agent`.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.lines: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if _STARTED in line:
                self._ready.set()
        self._ready.set()

    @property
    def pid(self) -> int:
        """
        Return its process ID.
        """
        return self._process.pid

    @property
    def log(self) -> str:
        """
        Return what it has said.
        """
        return "".join(self.lines)

    def await_started(self) -> Served:
        """
        Wait until it answers.
        """
        assert self._ready.wait(30), self.log
        found = _READY.search(self.log)
        assert found is not None, self.log
        assert _STARTED in self.log, self.log
        return Served(int(found[1]))

    def end(self, number: int = signal.SIGTERM) -> int:
        """
        Send it a signal, and return how it ended.
        """
        self._process.send_signal(number)
        code = self._process.wait(30)
        self._reader.join(30)
        return code


@contextlib.contextmanager
def starting(
    config: Path,
    *options: str,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """
    Run `thim agent` until the end of the ``with``; *before* are words in front
    of the command.
    """
    command = [sys.executable, "-m", "thim", "agent", "--config", str(config)]
    with subprocess.Popen(
        [*before, *command, *options],
        env={**os.environ, **(environment or {})},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        agent = Process(process)
        try:
            yield agent
        finally:
            if process.poll() is None:
                agent.end()


def write_config(path: Path, **settings: object) -> Path:
    """
    Write a configuration whose table ``[agent]`` has *settings*.
    """
    lines = [f"{name} = {_to_toml(value)}" for name, value in settings.items()]
    path.write_text("\n".join(["[agent]", *lines, ""]))
    return path


def _to_toml(value: object) -> str:
    if isinstance(value, dict):
        pairs = (f"{name} = {_to_toml(each)}" for name, each in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(value)
