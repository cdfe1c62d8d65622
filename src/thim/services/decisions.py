"""
Decision records are dropped when they are old enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import random
import sqlite3
import time

from typing import TYPE_CHECKING, Final, TypeAlias

from thim.errors import OperatorError
from thim.store.decision_file import DecisionFile


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log: Final = logging.getLogger("thim.decisions")
#: How long they are kept, if nothing else is said.
RETENTION: Final = datetime.timedelta(days=400)
#: ... and refusals at the most: anybody can have as many as there may be.
REFUSED_RETENTION: Final = datetime.timedelta(days=30)
_LOOK: Final = 3600.0
#: Seconds by which a clock is set to keep it right, at the most; and for which
#: nothing is dropped once it was set by more.
_JUMP: Final = 600.0
_GRACE: Final = 86_400.0
#: In one transaction: whoever issues a token meanwhile waits for that.
_MOST: Final = 500
_PAUSE: Final = 0.05
_Purge: TypeAlias = "Callable[[DecisionFile, datetime.datetime, int], int]"


class JumpWatch:
    """
    Watches whether a clock goes on as time does: what is dropped because a
    clock was wrong is lost.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None
        self._jumped: float | None = None

    def is_steady(self, now: datetime.datetime, elapsed: float) -> bool:
        """
        Tell whether *now* is as it was expected to be, and has been for a day;
        *elapsed* are seconds from a fixed point, by whatever is never set.
        """
        ahead = now.timestamp() - elapsed
        if self._ahead is not None and abs(ahead - self._ahead) > _JUMP:
            self._jumped = elapsed
        self._ahead = ahead
        return self._jumped is None or elapsed - self._jumped >= _GRACE


async def follow_retention(
    path: Path,
    retention: datetime.timedelta,
    clock: Callable[[], datetime.datetime],
) -> None:
    """
    Drop each hour what is older than *retention* in the file *path*, until
    cancelled; every process may.  Not for a day after the clock has jumped.
    """
    watch = JumpWatch()
    watch.is_steady(clock(), time.monotonic())
    while True:
        await asyncio.sleep(_LOOK * (0.5 + random.random()))  # noqa: S311
        now = clock()
        if not watch.is_steady(now, time.monotonic()):
            _log.warning(
                "old decision records are kept for a day: the clock has jumped"
            )
            continue
        try:
            await drop_old(path, now - retention)
            await drop_old_refusals(path, now - REFUSED_RETENTION)
        except (OperatorError, sqlite3.Error) as e:
            _log.warning("old decision records are not dropped: %s", e)


async def drop_old(path: Path, before: datetime.datetime) -> int:
    """
    Drop all from *before* an instant, little by little; return how much that
    was.

    Raises:
        OperatorError, sqlite3.Error: Something was not dropped.
    """
    return await _drop_all(path, before, DecisionFile.purge)


async def drop_old_refusals(path: Path, before: datetime.datetime) -> int:
    """
    Drop the refusals from *before* an instant, as `drop_old`.

    Raises:
        OperatorError, sqlite3.Error: Something was not dropped.
    """
    return await _drop_all(path, before, DecisionFile.purge_refused)


async def _drop_all(
    path: Path, before: datetime.datetime, purge: _Purge
) -> int:
    dropped = 0
    while last := await asyncio.to_thread(_drop, path, before, purge):
        dropped += last
        await asyncio.sleep(_PAUSE)
    return dropped


def _drop(path: Path, before: datetime.datetime, purge: _Purge) -> int:
    if not path.exists():
        return 0  # nothing was decided yet
    with contextlib.closing(DecisionFile(path)) as file:
        return purge(file, before, _MOST)
