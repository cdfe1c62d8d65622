"""
Files that a command is given: those in folders too, and none that blocks.
"""

from __future__ import annotations

import os
import stat

from pathlib import Path
from typing import TYPE_CHECKING

from thim.errors import MalformedError, OperatorError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO


def find_files(paths: Iterable[Path]) -> list[Path]:
    """
    Find all files in *paths*, in the order of their names.

    Raises:
        OperatorError: One of the paths is not there.
    """
    found: set[Path] = set()
    for path in paths:
        _check(path)
        found.update(_walk(path))
    return sorted(found)


def _check(path: Path) -> None:
    try:
        path.stat()
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        msg = f"{path}: {why}"
        raise OperatorError(msg, reason="path-missing") from e


def _walk(path: Path) -> Iterator[Path]:
    # Not os.walk, which is recursive up to Python 3.11.
    waiting = [path]
    while waiting:
        here = waiting.pop()
        if here != path and os.path.islink(here):  # noqa: PTH114 - no error
            yield here
            continue
        try:
            with os.scandir(here) as entries:
                waiting += [Path(entry.path) for entry in entries]
        except OSError:
            yield here  # a file, or a folder that cannot be listed


def open_file(file: Path) -> BinaryIO:
    """
    Open a regular file for reading.

    Raises:
        MalformedError: It is none, or cannot be read.
    """
    try:
        # A named pipe would block for ever if opened in the plain way.
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        raise MalformedError(str(e.strerror), reason="unreadable") from e
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        msg = "not a regular file"
        raise MalformedError(msg, reason="unreadable")
    return os.fdopen(handle, "rb")
