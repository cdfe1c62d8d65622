"""
How a node stands towards its ledger: a small file beside the replica, written
by the one process that follows, and read by all.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import time

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec


if TYPE_CHECKING:
    from pathlib import Path

#: Why a ledger cannot be used: nobody reaches its server, that does not let
#: this node in, has no room, or cannot read what it has written.
AWAY: Final = "ledger-away"
REFUSED: Final = "ledger-refused"
FULL: Final = "ledger-full"
DAMAGED: Final = "ledger-damaged"
_MOST_BYTES: Final = 1024 * 1024
#: Seconds after which the process that should write it is taken for dead.
_DEAD: Final = 10.0


class NodeBeat(msgspec.Struct, frozen=True, kw_only=True):
    """
    A node as it last told of itself; *digest_differs* where its heads are
    others than ours although it is at the same position.
    """

    name: str
    version: str
    seen: datetime
    position: int
    digest_differs: bool


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a node stands.

    *position* is how far its replica has followed, *ledger_position* how far
    the ledger was when it was last asked, at the instant *followed*; *leads*
    are the vendors whose documents this node refreshes, *trouble* is why it
    cannot follow, or what else is wrong with the ledger, and *reason* its name.
    """

    node: str
    position: int
    ledger_position: int
    followed: datetime | None
    is_away: bool
    leads: tuple[str, ...]
    trouble: str | None
    differs: bool
    nodes: tuple[NodeBeat, ...]
    reason: str | None = None


def state_file(store: Path) -> Path:
    """
    Return where the state of the node with this *store* is.
    """
    return store.with_name(f"{store.name}-node.json")


def write_state(store: Path, state: NodeState) -> None:
    """
    Put *state* in the place of what was told before, wholly or not at all.

    Raises:
        OSError: It cannot be written.
    """
    path = state_file(store)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        new.write_bytes(msgspec.json.encode(state))
        os.replace(new, path)  # noqa: PTH105 - the same
    finally:
        new.unlink(missing_ok=True)


@dataclasses.dataclass(slots=True)
class StateReader:
    """
    Reads the state again and again, at little cost.

    Whether it is news is told by the file alone: clocks may jump.
    """

    store: Path
    _stamp: tuple[int, int] | None = None
    _state: NodeState | None = None
    _since: float = 0.0

    def read(self) -> NodeState | None:
        """
        Return the state, None where nobody has told any or who should does not
        any more.
        """
        now = time.monotonic()
        try:
            found = state_file(self.store).stat()
        except OSError:
            return None
        stamp = (found.st_ino, found.st_mtime_ns)
        if stamp != self._stamp:
            self._state = read_state_file(self.store)
            self._stamp, self._since = stamp, now
        return self._state if now - self._since < _DEAD else None


def read_state_file(store: Path) -> NodeState | None:
    """
    Read what was last told of the node with this *store*, however long ago.
    """
    try:
        with state_file(store).open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_BYTES), type=NodeState)
    except (OSError, msgspec.MsgspecError):
        return None
