"""
A process of its own that is talked to line by line.
"""

import subprocess
import sys

from pathlib import Path
from typing import IO, Any


PROJECT = Path(__file__).parents[2]


class LineProcess:
    """
    Runs a module of the tests; *options* are those of ``Popen``.
    """

    def __init__(self, module: str, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self._into: IO[str] = _not_none(self._process.stdin)
        self._out: IO[str] = _not_none(self._process.stdout)

    def write(self, line: str) -> None:
        """
        Tell it something.
        """
        self._into.write(f"{line}\n")
        self._into.flush()

    def read(self) -> str:
        """
        Read its next line, without the end; "" when it is gone.
        """
        return self._out.readline().rstrip("\n")

    def close(self) -> str:
        """
        Let it end, and return what it said on standard error.
        """
        return str(self._process.communicate()[1])


def _not_none(stream: IO[Any] | None) -> IO[str]:
    assert stream is not None
    return stream
