"""
`thim serve` as an operator starts it: a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys

from collections.abc import Iterator
from pathlib import Path

from tests.serving import Served


_READY = re.compile(r"thim serves on https?://127\.0\.0\.1:(\d+)")


@contextlib.contextmanager
def running(
    store: Path, *options: str, **environment: str
) -> Iterator[tuple[Served, subprocess.Popen[str]]]:
    """
    Run `thim serve` over *store* until the end of the ``with``.
    """
    command = [sys.executable, "-m", "thim", "serve"]
    with subprocess.Popen(
        [*command, "--store", str(store), "--listen", "127.0.0.1:0", *options],
        env={**os.environ, "THIM_FILL": "offline", **environment},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield _wait(process, options), process
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _wait(process: subprocess.Popen[str], options: tuple[str, ...]) -> Served:
    workers = int(options[options.index("--workers") + 1]) if options else 1
    port, started, lines = None, 0, []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if found := _READY.search(line):
            port = int(found[1])
        started += "Application startup complete" in line
        if port is not None and started == workers:
            return Served(port)
    raise AssertionError("".join(lines))
