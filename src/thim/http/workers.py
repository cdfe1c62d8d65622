"""
The numbers of all workers of a node: each one puts its own into a folder that
all of them share, and whoever is asked for metrics adds them up.

A file that cannot be written makes metrics older, and nothing worse: a disk
that is full ends no worker, as memory that is mapped from it would.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError
from thim.http.tallies import (
    STARTS,
    Sheet,
    Tallies,
    add_up,
    read_sheet,
    write_sheet,
)


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.http.settings import HttpSettings

#: Seconds by which what is said of the others may be old.
_PACE: Final = 1.0
_ENDING: Final = ".json"
#: Has ended, and waits for its parent to notice.
_ZOMBIE: Final = b"Z"


class Workers:
    """
    The workers of the process *supervisor*, which share *folder*; this one is
    *pid*.
    """

    def __init__(self, folder: Path, supervisor: int, pid: int) -> None:
        self._folder = folder
        self._supervisor = supervisor
        self._pid = pid
        self._own = folder / f"{pid}{_ENDING}"
        self._written = b""
        self._inherited = Sheet()

    def inherit(self) -> None:
        """
        Take over what workers had counted that have ended since, so that their
        files do not pile up.  For the beginning, before anything is published.
        """
        with self._alone(fcntl.LOCK_EX):
            gone = [
                path
                for path in self._paths()
                # Another may have had this number before.
                if path == self._own or not self._lives(path)
            ]
            inherited = add_up(Sheet(), (), self._read(gone))
            if not self._write(write_sheet(inherited)):
                return  # they stay where they are
            self._inherited = inherited
            for path in gone:
                if path != self._own:
                    path.unlink(missing_ok=True)

    def publish(self, sheet: Sheet) -> None:
        """
        Let the others know this worker's numbers.
        """
        body = write_sheet(add_up(sheet, (self._inherited,)))
        if body != self._written:
            self._write(body)

    def add_others(self, sheet: Sheet) -> Sheet:
        """
        Add what all workers have counted, those that have ended included, to
        this worker's own *sheet*.
        """
        with self._alone(fcntl.LOCK_SH):
            others = [path for path in self._paths() if path != self._own]
            living = [path for path in others if self._lives(path)]
            gone = [path for path in others if path not in living]
            mine = add_up(sheet, (self._inherited,))
            return add_up(mine, self._read(living), self._read(gone))

    def pids(self) -> list[int]:
        """
        List the workers that live, this one included.
        """
        living = {int(p.stem) for p in self._paths() if self._lives(p)}
        return sorted({self._pid, *living})

    def _paths(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return sorted(
                path
                for path in self._folder.iterdir()
                if path.suffix == _ENDING and path.stem.isdigit()
            )
        return []

    def _lives(self, path: Path) -> bool:
        return find_parent(int(path.stem)) == self._supervisor

    def _read(self, paths: list[Path]) -> Iterator[Sheet]:
        for path in paths:
            with contextlib.suppress(OSError, MalformedError):
                yield read_sheet(path.read_bytes())

    def _write(self, body: bytes) -> bool:
        draft = self._own.with_suffix(".new")
        try:
            draft.write_bytes(body)
            draft.replace(self._own)
        except OSError:
            return False
        self._written = body
        return True

    @contextlib.contextmanager
    def _alone(self, how: int) -> Iterator[None]:
        # Nobody is to see an ended worker's numbers twice, or not at all.
        try:
            handle = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            yield  # somebody has tidied up: there is nothing to share
            return
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)


def find_workers(settings: HttpSettings) -> Workers | None:
    """
    Return the workers of which this process is one; None if it is alone.
    """
    if settings.tallies is None or settings.supervisor is None:
        return None
    return Workers(settings.tallies, settings.supervisor, os.getpid())


async def share(workers: Workers | None, tallies: Tallies) -> None:
    """
    Let the other *workers* know what is in *tallies*, each second and in the
    end.
    """
    tallies.count(STARTS)
    if workers is None:
        return
    await asyncio.to_thread(workers.inherit)
    try:
        while True:
            await asyncio.to_thread(workers.publish, tallies.gather())
            await asyncio.sleep(_PACE)
    finally:
        workers.publish(tallies.gather())


def find_parent(pid: int) -> int | None:
    """
    Return the parent of the process *pid*; None if it does not run.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name may have spaces and parentheses of its own.
    state, parent, *_ = stat.rpartition(b")")[2].split()
    return None if state == _ZOMBIE else int(parent)
