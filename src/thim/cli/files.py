"""
Files that a command is given: those in folders too, and none that blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError, OperatorError


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import BinaryIO


def check_paths(paths: Iterable[Path]) -> None:
    """
    Refuse a path at which there is nothing.

    Raises:
        OperatorError: One of the paths is not there.
    """
    for path in paths:
        try:
            path.stat()
        except (OSError, ValueError) as e:
            why = e.strerror if isinstance(e, OSError) else e
            msg = f"{path}: {why}"
            raise OperatorError(msg, reason="path-missing") from e


def find_files(
    paths: Iterable[Path], suffixes: Collection[str] = ()
) -> list[Path]:
    """
    Find all files in *paths*, each once, in the order of their names; in
    folders only those with one of the *suffixes*, if there are any.
    """
    return sorted(
        {
            file
            for path in paths
            for file in _walk(path)
            if file == path or not suffixes or file.suffix.lower() in suffixes
        }
    )


def _walk(path: Path) -> Iterator[Path]:
    # Not os.walk, which is recursive up to Python 3.11: a deep folder would
    # be the end of it.
    waiting = [path]
    while waiting:
        here = waiting.pop()
        if here != path and os.path.islink(here):  # noqa: PTH114 - no error
            yield here  # to a folder: opening it says what it is
            continue
        try:
            with os.scandir(here) as entries:
                waiting += [Path(entry.path) for entry in entries]
        except OSError:
            yield here  # a file, or a folder that cannot be listed


_STANDARD_INPUT: Final = Path("-")


def read_bounded(file: Path, most: int) -> bytes:
    """
    Read *file*, or the standard input where that is ``-``, up to one byte
    beyond *most*.

    Raises:
        OperatorError: It is no regular file, or cannot be read.
    """
    try:
        return _read_bounded(file, most + 1)
    except (OSError, MalformedError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        msg = f"{file}: {why}"
        raise OperatorError(msg, reason="unreadable") from e


def _read_bounded(file: Path, most: int) -> bytes:
    if file != _STANDARD_INPUT:
        with open_file(file) as opened:
            return opened.read(most)
    if sys.stdin is None:
        msg = "closed"
        raise MalformedError(msg, reason="unreadable")
    with contextlib.suppress(OSError):  # it may be no file
        os.set_blocking(sys.stdin.fileno(), True)
    return sys.stdin.buffer.read(most)


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


@contextlib.contextmanager
def making_file(path: Path) -> Iterator[BinaryIO]:
    """
    Make the file *path*, readable by its owner alone: it is there when it is
    whole, and never takes the place of another.

    Raises:
        OperatorError: Something is there already, or it cannot be written.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        try:
            with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.link(new, path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as e:
        msg = f"{path}: cannot be made ({e.strerror}); nothing was changed"
        raise OperatorError(msg, reason="unwritable") from e
