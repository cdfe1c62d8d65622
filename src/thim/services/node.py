"""
One process of each node follows the ledger: it brings changes into the
replica, stands for election, tells of the node, and writes down how it goes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time

from typing import TYPE_CHECKING, Final

from thim.errors import ThimError, UnwritableError
from thim.store.lock import following
from thim.store.node_state import (
    DAMAGED,
    FULL,
    NodeBeat,
    NodeState,
    write_state,
)


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from thim.store.session import Beat, NodeSession

_log: Final = logging.getLogger("thim.node")
#: Seconds between two looks without a word from the ledger.
_POLL: Final = 1.0
_BEAT: Final = 2.0
_EXAMINE: Final = 10.0
_COMPARE: Final = 60.0
_TRIM: Final = 3600.0
#: A ledger that is so can be followed all the same, as long as that works.
_AILMENTS: Final = frozenset({FULL, DAMAGED})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """
    Which node this is: its *name*, its replica *store*, and the *address* of
    the ledger.
    """

    name: str
    version: str
    store: Path
    address: str


def follow_ledger(
    settings: NodeSettings,
    clock: Callable[[], datetime],
    ended: threading.Event,
) -> None:
    """
    Follow until *ended*, as soon as no other process of the node does.
    """
    while not ended.wait(0):
        with following(settings.store) as is_ours:
            if is_ours:
                node = _Node(settings, clock, ended)
                with contextlib.closing(node):
                    node.run()
        ended.wait(_POLL)


class _Node:
    def __init__(
        self,
        settings: NodeSettings,
        clock: Callable[[], datetime],
        ended: threading.Event,
    ) -> None:
        from thim.store.follow import Follower  # noqa: PLC0415 - SQLAlchemy

        self._settings = settings
        self._clock = clock
        self._ended = ended
        self._started = clock()
        self._follower = Follower(settings.store, settings.address)
        self._last: dict[str, float] = {}
        self._trouble = ""
        self._ailments: dict[str, UnwritableError] = {}
        self._state = NodeState(
            node=settings.name,
            position=0,
            ledger_position=0,
            followed=None,
            is_away=True,
            leads=(),
            trouble=None,
            differs=False,
            nodes=(),
        )

    def run(self) -> None:
        """Follow until ended, whatever goes wrong."""
        from thim.store.session import NodeSession  # noqa: PLC0415

        while not self._ended.is_set():
            # As wide as can be: a node whose follower a bug has ended would
            # serve the same for ever, and nobody would hear of it.
            try:
                with NodeSession(self._settings.address) as session:
                    self._follow_or_mend(session)
            except Exception as e:  # noqa: BLE001
                self._blame(e)
            self._ended.wait(_POLL)

    def close(self) -> None:
        """Close the replica."""
        self._follower.close()

    def _mend(self, error: UnwritableError) -> None:
        """Make a damaged replica anew."""
        from thim.store.founding import is_sound, remake_replica  # noqa: PLC0415

        store = self._settings.store
        if error.reason == "replica-write" and not is_sound(store):
            _log.error("the replica is damaged, and is made anew: %s", error)
            remake_replica(store, self._settings.address)

    def _blame(self, error: Exception) -> None:
        self._say(f"cannot follow: {error}", error)
        reason = error.reason if isinstance(error, ThimError) else None
        self._tell(is_away=True, leads=(), trouble=str(error), reason=reason)

    def _say(self, trouble: str, error: Exception) -> None:
        """Log what is wrong, once and not again and again."""
        if trouble != self._trouble:
            trace = None if isinstance(error, ThimError) else error
            _log.warning("%s", trouble, exc_info=trace)
        self._trouble = trouble

    def _follow_or_mend(self, session: NodeSession) -> None:
        try:
            self._follow(session)
        except UnwritableError as e:
            self._mend(e)
            raise

    def _follow(self, session: NodeSession) -> None:
        while not self._ended.is_set():
            leads = session.elect()
            position = self._follower.catch_up()
            ailment = self._find_ailment(position)
            self._tell(
                is_away=False,
                position=position,
                ledger_position=session.last_position(),
                followed=self._clock(),
                leads=tuple(sorted(leads)),
                trouble=ailment and str(ailment),
                reason=ailment and ailment.reason,
            )
            self._look_around(session, leads)
            session.wait(_POLL)

    def _find_ailment(self, position: int) -> UnwritableError | None:
        ailment = next(iter(self._ailments.values()), None)
        if ailment is not None:
            self._say(str(ailment), ailment)
        elif self._trouble:
            _log.info("follows again, at position %d", position)
            self._trouble = ""
        return ailment

    def _look_around(self, session: NodeSession, leads: frozenset[str]) -> None:
        self._try("compare", _COMPARE, self._compare)
        self._try("examine", _EXAMINE, session.examine)
        self._try("beat", _BEAT, lambda: self._tell_others(session))
        if leads:
            self._try("trim", _TRIM, session.trim)

    def _try(
        self, what: str, interval: float, work: Callable[[], None]
    ) -> None:
        """Do what a ledger that is followed all the same may refuse."""
        if not self._is_time(what, interval):
            return
        try:
            work()
        except UnwritableError as e:
            if e.reason not in _AILMENTS:
                raise
            self._ailments[what] = e
        else:
            self._ailments.pop(what, None)

    def _compare(self) -> None:
        self._tell(differs=not self._follower.is_same())

    def _tell_others(self, session: NodeSession) -> None:
        mine = self._beat()
        told = session.beat(mine, self._started)
        self._tell(nodes=tuple(_describe(one, mine) for one in told))

    def _beat(self) -> Beat:
        from thim.store.session import Beat  # noqa: PLC0415 - psycopg

        position, digest = self._follower.digest()
        return Beat(
            name=self._settings.name,
            version=self._settings.version,
            seen=self._clock(),
            position=position,
            digest=digest,
        )

    def _is_time(self, what: str, interval: float) -> bool:
        now = time.monotonic()
        is_time = now - self._last.get(what, -interval) >= interval
        if is_time:
            self._last[what] = now
        return is_time

    def _tell(self, **news: object) -> None:
        self._state = _replace(self._state, news)
        try:
            write_state(self._settings.store, self._state)
        except OSError as e:
            _log.warning("the node's state cannot be written: %s", e)


def _replace(state: NodeState, news: dict[str, object]) -> NodeState:
    fields = {name: getattr(state, name) for name in state.__struct_fields__}
    return NodeState(**{**fields, **news})


def _describe(one: Beat, mine: Beat) -> NodeBeat:
    is_comparable = one.position == mine.position
    return NodeBeat(
        name=one.name,
        version=one.version,
        seen=one.seen,
        position=one.position,
        digest_differs=is_comparable and one.digest != mine.digest,
    )
