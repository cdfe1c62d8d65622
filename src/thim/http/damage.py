"""
A damaged store is told of in the log, once a minute and not for each request.
"""

from __future__ import annotations

import logging
import time

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from thim.errors import ThimError

_log: Final = logging.getLogger("thim.store")
_PAUSE: Final = 60.0
_DAMAGE: Final = frozenset({"store-unreadable", "store-damaged"})
_RESTORE: Final = (
    "`thim db verify` says what is damaged, `thim db restore --replace` puts a "
    "backup in its place"
)
_REMADE: Final = "this node makes its replica anew from the ledger"


def find_advice(error: ThimError, *, is_replica: bool) -> str | None:
    """
    Return what helps, if *error* is about a damaged store; None if it is not.

    A replica is made anew by its node: nobody is to restore anything.
    """
    if error.reason not in _DAMAGE:
        return None
    return _REMADE if is_replica else _RESTORE


class DamageLog:
    """
    Tells of damage, and of what `find_advice` says of it; one per process.
    """

    def __init__(self, *, is_replica: bool = False) -> None:
        self._is_replica = is_replica
        self._silent_until = 0.0

    def note(self, error: ThimError) -> None:
        """
        Say what is damaged, if *error* is about that, and what helps.
        """
        advice = find_advice(error, is_replica=self._is_replica)
        now = time.monotonic()
        if advice is not None and now >= self._silent_until:
            self._silent_until = now + _PAUSE
            _log.error("%s; %s", error, advice)
