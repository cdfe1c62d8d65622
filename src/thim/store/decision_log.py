"""
Decision records are written here, many in one transaction.

A record is on the disk before its token is handed out.  Those who come soon
after a transaction wait together for the next: the longer, the more they are.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import sqlite3
import threading
import time

from typing import TYPE_CHECKING, Final

from thim.errors import OperatorError, UnavailableError
from thim.store.decision_file import ISSUED, DecisionFile


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from thim.store.decision_file import Decision, Tallies

_log: Final = logging.getLogger("thim.decisions")
#: So many callers wait; others are to come again.
MOST_WAITING: Final = 4096
#: Seconds from one transaction to the next, for each record of the one before:
#: it takes the processor's time of ten records, however few are in it.
_PACE: Final = 0.0025
_SLOWEST: Final = 0.02
#: Seconds for which what is only counted waits for a record.
_COUNTED: Final = 1.0
_Waiting = tuple["Decision", "asyncio.Future[None]"]


class DecisionLog:
    """
    Writes decision records to the file in *path*, which is made when the first
    one comes; lives on one event loop, with a thread that waits for the disk.
    """

    def __init__(self, path: Path, most_waiting: int = MOST_WAITING) -> None:
        self._path = path
        self._most = most_waiting
        self._waiting: list[_Waiting] = []
        self._counts: Tallies = collections.Counter()
        self._changed = threading.Condition()
        self._is_ended = False
        self._next = 0.0
        self._trouble: str | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, decision: Decision) -> asyncio.Future[None]:
        """
        Keep a *decision*; wait for what is returned: when it is done the record
        is on the disk, and if it raises an `UnavailableError` it may not be,
        and the token must not be handed out.

        Raises:
            UnavailableError: Too many wait, or the log is closed.
        """
        if self._loop is None:
            self._start()
        done: asyncio.Future[None] = self._loop.create_future()  # type: ignore[union-attr]
        with self._changed:
            self._check()
            self._waiting.append((decision, done))
            if len(self._waiting) == 1:
                self._changed.notify()
        return done

    def count(self, kind: str, outcome: str) -> None:
        """
        Count an *outcome* of which no record is kept; it is on the disk a
        little later, or not at all if the process ends before.
        """
        if self._loop is None:
            self._start()
        with self._changed:
            self._counts[kind, outcome] += 1
            self._changed.notify()

    def _check(self) -> None:
        why = None
        if self._is_ended:
            why = "the service is about to end"
        elif len(self._waiting) >= self._most:
            why = f"{self._most} wait already"
        if why is not None:
            raise _unavailable(why, "decision-log-busy")

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._run, name="thim-decisions", daemon=True
        )
        self._thread.start()

    async def close(self) -> None:
        """
        Write what waits, and close the file.
        """
        with self._changed:
            self._is_ended = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        file: DecisionFile | None = None
        while any(taken := self._take()):
            batch, counts = taken
            try:
                if file is None or not file.is_in_place():
                    _close(file)
                    file = DecisionFile(self._path)
                file.write([decision for decision, _ in batch], counts)
                problem = None
            except (OperatorError, sqlite3.Error) as e:
                problem = str(e)
            except Exception as e:  # noqa: BLE001 - or all wait for ever
                problem = repr(e)
            self._note(problem)
            if problem is not None:
                # The next ones begin anew: the disk may have room by then.
                _close(file)
                file = None
                self._keep(batch, counts)
            self._tell(batch, problem)
        _close(file)

    def _note(self, problem: str | None) -> None:
        """Log what goes wrong once, and not for each of the tokens."""
        before, self._trouble = self._trouble, problem
        if problem == before:
            return
        if problem is None:
            _log.info("decision records are written again")
        else:
            _log.error("decision records are not written: %s", problem)

    def _take(self) -> tuple[list[_Waiting], Tallies]:
        """Return all that wait, and what was counted; nothing in the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._waiting or self._counts or self._is_ended
            )
            # What is only counted is written with a record, if one comes.
            self._changed.wait_for(
                lambda: self._waiting or self._is_ended, _COUNTED
            )
            pause = self._next - time.monotonic()
            self._changed.wait_for(lambda: self._is_ended, pause)
            batch, self._waiting = self._waiting, []
            counts, self._counts = self._counts, collections.Counter()
            pause = min(_PACE * len(batch), _SLOWEST)
            self._next = time.monotonic() + pause
        return batch, counts

    def _keep(self, batch: Sequence[_Waiting], counts: Tallies) -> None:
        """Keep what is still true of what could not be written."""
        refused = (one for one, _ in batch if one.outcome != ISSUED)
        counts.update((one.type, one.outcome) for one in refused)
        with self._changed:
            if not self._is_ended:
                self._counts.update(counts)

    def _tell(self, batch: Sequence[_Waiting], problem: str | None) -> None:
        futures = [done for _, done in batch]
        try:
            self._loop.call_soon_threadsafe(_settle, futures, problem)  # type: ignore[union-attr]
        except RuntimeError:  # the loop is closed: nobody waits any more
            _log.debug("nobody waits for %d decision records", len(batch))


def _settle(
    futures: Sequence[asyncio.Future[None]], problem: str | None
) -> None:
    for done in futures:
        if done.done():  # the caller has gone
            continue
        if problem is None:
            done.set_result(None)
        else:
            done.set_exception(_unavailable(problem))


def _close(file: DecisionFile | None) -> None:
    if file is not None:
        file.close()


def _unavailable(why: str, reason: str = "decision-log") -> UnavailableError:
    msg = f"decision records cannot be written: {why}"
    return UnavailableError(msg, reason=reason)
