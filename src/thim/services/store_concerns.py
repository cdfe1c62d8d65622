"""
What an operator must know of the store's file and the disk that it is on.

It is looked at and not remembered, so every process says the same, and stops
saying it when there is room again.
"""

from __future__ import annotations

import errno
import os

from typing import TYPE_CHECKING, Final

from thim.services.status import Concern, Level
from thim.store.file import REVISION
from thim.store.lock import find_lock


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from thim.store.replica import Replica

_MIB: Final = 1024 * 1024
#: Below that SQLite's log may have no room to grow by one commit.
_FULL: Final = 4 * _MIB
_NEARLY_FULL: Final = 256 * _MIB


def find_store_concerns(store: Path, replica: Replica) -> Iterator[Concern]:
    """
    Find what an operator must know of *store*, which *replica* reads.
    """
    yield from find_disk_concerns(store)
    found = replica.revision()
    if found != REVISION:
        detail = (
            f"the store has the schema {found} of a newer release, this "
            f"process {REVISION}: it goes on to read, restart it with that "
            f"release"
        )
        yield Concern(level=Level.SOON, reason="store-newer", detail=detail)


def find_disk_concerns(store: Path) -> Iterator[Concern]:
    """
    Find whether the disk that *store* is on is full or read-only.
    """
    folder = store.parent
    try:
        found = os.statvfs(folder)
    except OSError:
        return  # that the store cannot be read is said elsewhere
    if found.f_flag & os.ST_RDONLY or not _takes_writes(store):
        detail = f"{folder} is read-only: nothing is kept, what is there served"
        yield Concern(level=Level.NOW, reason="disk-read-only", detail=detail)
    free = found.f_bavail * found.f_frsize
    has_no_files = found.f_files > 0 and found.f_favail == 0
    if free < _NEARLY_FULL or has_no_files:
        is_full = free < _FULL or has_no_files
        left = "no file more" if has_no_files else f"{free // _MIB} MiB"
        yield Concern(
            level=Level.NOW if is_full else Level.SOON,
            reason="disk-full" if is_full else "disk-nearly-full",
            detail=f"{folder} has room for {left}: when it is full nothing "
            f"new is kept, and what is there goes on to be served",
        )


def _takes_writes(store: Path) -> bool:
    # A kernel that has seen errors refuses writes and says so in no flag.
    try:
        os.utime(find_lock(store))
    except OSError as e:
        return e.errno not in {errno.EROFS, errno.EIO}
    return True
