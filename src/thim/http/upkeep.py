"""
Keep what one process remembers in step with the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import signal
import time

from typing import TYPE_CHECKING, Final

from thim.errors import UnavailableError
from thim.http.damage import DamageLog
from thim.store.node_state import AWAY, REFUSED, StateReader


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thim.baseline.book import Book
    from thim.errors import ThimError
    from thim.http.fast_pck import PckDesk
    from thim.http.memo import Memo
    from thim.http.settings import HttpSettings
    from thim.store.node_state import NodeState
    from thim.store.replica import Replica

_POLL: Final = 0.05
_SECOND: Final = datetime.timedelta(seconds=1)
#: Seconds between two looks at how the node stands.
_LOOK: Final = 1.0


class Upkeep:
    """
    Has a process forget its answers when the store has changed, or something
    else by which they were made; lives on one event loop.

    Args:
        settings: What the process is told.
        clock: Returns the current instant.
        replica: What the process reads from.
        pck_desk: Answers from what it remembers of the store.
        memo: Remembers answers, where there is one.
    """

    def __init__(
        self,
        settings: HttpSettings,
        clock: Callable[[], datetime.datetime],
        replica: Replica,
        pck_desk: PckDesk,
        memo: Memo | None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._replica = replica
        self._pck_desk = pck_desk
        self._memo = memo
        #: What keeps the replica that this serves from following, if anything.
        self.lag = b""
        self._node = StateReader(settings.store)
        self._node_looked = 0.0
        self._latest: datetime.datetime | None = None
        self._standing: tuple[Book, datetime.datetime | None] | None = None
        self._generation = replica.generation()
        self._damage = DamageLog(is_replica=settings.ledger is not None)

    async def follow(self) -> None:
        """
        Forget remembered answers within 100 ms of a new store generation;
        end when the supervising process has ended.
        """
        # What is learned before the first look must not be forgotten by it.
        with contextlib.suppress(UnavailableError):
            self._standing = self._find_standing()
        while True:
            await asyncio.sleep(_POLL)
            self._check_parent()
            self._check_clock()
            self._check_ledger()
            self.catch_up()
            with contextlib.suppress(UnavailableError):
                self._check_standing()

    def catch_up(self) -> None:
        """
        Answer from the store as it is now, from the next request on.
        """
        self._pck_desk.renew()
        with contextlib.suppress(UnavailableError):
            self._check_generation()

    def _check_standing(self) -> None:
        # Whose requests are counted is no question for each of them.
        standing = self._find_standing()
        if standing != self._standing:
            self._standing = standing
            self._pck_desk.forget()

    def _find_standing(self) -> tuple[Book, datetime.datetime | None]:
        book = self._replica.book()
        return book, book.next_change(self._clock())

    def _check_parent(self) -> None:
        # A worker whose supervisor was killed would hold the port for ever.
        parent = self._settings.supervisor
        if parent is not None and os.getppid() != parent:
            signal.raise_signal(signal.SIGTERM)

    def _check_clock(self) -> None:
        # An answer is remembered until an instant, not from one.
        now = self._clock()
        latest, self._latest = self._latest, now
        is_back = latest is not None and now < latest - _SECOND
        if is_back and self._memo is not None:
            self._memo.clear()

    def _check_ledger(self) -> None:
        if self._settings.ledger is None:
            return
        now = time.monotonic()
        if now - self._node_looked < _LOOK:
            return
        self._node_looked = now
        state = self._node.read()
        lag = _find_lag(state)
        if lag != self.lag:
            self.lag = lag
            self._pck_desk.forget()
            if self._memo is not None:
                self._memo.clear()

    def node_state(self) -> NodeState | None:
        """
        Return how this node stands towards its ledger, None if nobody knows or
        the store is the ledger.
        """
        return self._node.read() if self._settings.ledger else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """
        Read from the store; what is remembered is never older afterwards.
        """
        # Whoever was told something new from the store, if only that there is
        # nothing, must not get something older from the memo afterwards.
        try:
            yield
        except UnavailableError as e:
            self._damage.note(e)
            raise
        finally:
            self._check_generation()

    def note_damage(self, error: ThimError) -> None:
        """
        Have the log tell of *error*, if it is about a damaged store.
        """
        self._damage.note(error)

    def _check_generation(self) -> None:
        generation = self._replica.generation()
        if generation != self._generation:
            self._generation = generation
            self._pck_desk.renew()
            self._check_standing()
            if self._memo is not None:
                self._memo.clear()


def _find_lag(state: NodeState | None) -> bytes:
    if state is not None and not state.is_away:
        return b""
    is_away = state is None or state.reason in {None, AWAY, REFUSED}
    return b"away" if is_away else b"behind"
