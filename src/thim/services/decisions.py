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

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError
from thim.store.decision_file import DecisionFile


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log: Final = logging.getLogger("thim.decisions")
#: How long they are kept, if nothing else is said.
RETENTION: Final = datetime.timedelta(days=400)
_LOOK: Final = 3600.0
#: In one transaction: whoever issues a token meanwhile waits for that.
_MOST: Final = 500
_PAUSE: Final = 0.05


async def follow_retention(
    path: Path,
    retention: datetime.timedelta,
    clock: Callable[[], datetime.datetime],
) -> None:
    """
    Drop each hour what is older than *retention* in the file *path*, until
    cancelled; every process may.
    """
    while True:
        await asyncio.sleep(_LOOK * (0.5 + random.random()))  # noqa: S311
        try:
            await drop_old(path, clock() - retention)
        except (OperatorError, sqlite3.Error) as e:
            _log.warning("old decision records are not dropped: %s", e)


async def drop_old(path: Path, before: datetime.datetime) -> int:
    """
    Drop all from *before* an instant, little by little; return how much that
    was.

    Raises:
        OperatorError, sqlite3.Error: Something was not dropped.
    """
    dropped = 0
    while last := await asyncio.to_thread(_drop, path, before):
        dropped += last
        await asyncio.sleep(_PAUSE)
    return dropped


def _drop(path: Path, before: datetime.datetime) -> int:
    if not path.exists():
        return 0  # no token was issued yet
    with contextlib.closing(DecisionFile(path)) as file:
        return file.purge(before, _MOST)
