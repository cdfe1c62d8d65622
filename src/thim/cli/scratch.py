"""
Folders that last as long as the process that made them, however it ends.

Who is killed cannot tidy up: whoever comes next with the same prefix does.  Its
maker holds a lock on a file in the folder, of which the kernel lets go.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile

from pathlib import Path
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK: Final = "owner.lock"
_FLAGS: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


@contextlib.contextmanager
def scratch_folder(prefix: str, where: Path | None = None) -> Iterator[Path]:
    """
    Make a folder that nobody else may enter, until the end of the ``with``;
    those of this user's processes that were killed are removed first.

    Args:
        prefix: With what the names of such folders begin, and no others.
        where: The folder to make it in; by default that of temporary files.

    Raises:
        OSError: It cannot be made there.
    """
    parent = where or Path(tempfile.gettempdir())
    _sweep(parent, prefix)
    folder, handle = _make(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _make(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        handle = os.open(folder / _LOCK, _FLAGS | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return folder, handle
        # Before it was locked, another has taken it for one that is left.
        os.close(handle)


def _sweep(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    handle = os.open(folder / _LOCK, _FLAGS)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)
