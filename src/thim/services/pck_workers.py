"""
Verify many PCK certificates, in several processes.

Verifying costs three times what keeping does, and `cryptography` holds the
interpreter meanwhile: threads would wait for one another.

Each process has one batch at a time: it is given the next when its answer is
there, so neither side ever waits for the other to read.
"""

from __future__ import annotations

import collections
import gc
import multiprocessing
import os
import signal

from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Final, TypeVar

from thim.collateral.pck_intake import PckVerifier, verify_pems
from thim.errors import OperatorError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from thim.collateral.platforms import PckRecord

    Pems = Sequence[tuple[bytes, ...]]
    Records = tuple[PckRecord, ...]

T = TypeVar("T")

#: A process takes half a second to start: not worth it for fewer.
_FEW: Final = 2000
_MOST_PROCESSES: Final = 4
#: Not fork: there may be threads.
_CONTEXT: Final = multiprocessing.get_context("spawn")
_PATIENCE: Final = 10.0


class PckWorkers:
    """
    Verify by *verifier*, in *processes* (by default one for each processor);
    close it.
    """

    def __init__(
        self, verifier: PckVerifier, processes: int | None = None
    ) -> None:
        self._verifier = verifier
        available = len(os.sched_getaffinity(0))
        self._most = min(processes or available, _MOST_PROCESSES)
        self._workers: list[_Worker] = []
        self._seen = 0

    def verify(
        self, batches: Iterable[tuple[T, Pems]]
    ) -> Iterator[tuple[T, list[Records | None]]]:
        """
        Verify *batches* of certificates, each of whatever it is for, as
        ``collateral.pck_intake.verify_pems`` does.

        Raises:
            OperatorError: A process was ended.
        """
        waiting: collections.deque[tuple[T, _Worker]] = collections.deque()
        for what, pems in batches:
            self._seen += sum(map(len, pems))
            if self._seen <= _FEW or self._most == 1:
                yield what, verify_pems(self._verifier, pems)
            elif len(waiting) < self._most:
                worker = self._find(len(waiting))
                worker.send(pems)
                waiting.append((what, worker))
            else:
                first, worker = waiting.popleft()
                done = worker.receive()
                worker.send(pems)
                waiting.append((what, worker))
                yield first, done
        for first, worker in waiting:
            yield first, worker.receive()

    def _find(self, place: int) -> _Worker:
        if place == len(self._workers):
            self._workers.append(_Worker(self._verifier))
        return self._workers[place]

    def close(self) -> None:
        """
        End the processes.
        """
        for worker in self._workers:
            worker.close()


class _Worker:
    """A process that verifies."""

    def __init__(self, verifier: PckVerifier) -> None:
        self._ours, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=_work, args=(theirs, verifier), daemon=True
        )
        self._process.start()
        theirs.close()  # so that we notice when it ends

    def send(self, pems: Pems) -> None:
        """Give it the next batch."""
        try:
            self._ours.send(pems)
        except OSError as e:
            raise _ended() from e

    def receive(self) -> list[Records | None]:
        """Wait for its answer."""
        try:
            found: list[Records | None] = self._ours.recv()
        except (EOFError, OSError) as e:
            raise _ended() from e
        return found

    def close(self) -> None:
        """End it."""
        self._ours.close()
        self._process.join(_PATIENCE)
        self._process.kill()


def _ended() -> OperatorError:
    msg = "a process that verified certificates was ended; start again"
    return OperatorError(msg, reason="process")


def _work(connection: Connection, verifier: PckVerifier) -> None:
    """Verify what comes, until whoever asks has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # that one says so
    spare_collections()
    try:
        while True:
            pems = connection.recv()
            connection.send(verify_pems(verifier, pems))
    except (EOFError, OSError):
        return


def spare_collections() -> None:
    """
    Collect garbage seldom: hundreds of thousands of small objects come and
    go, without cycles.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
