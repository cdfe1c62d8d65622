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


class DamageLog:
    """
    Tells of damage; one per process.
    """

    def __init__(self) -> None:
        self._silent_until = 0.0

    def note(self, error: ThimError) -> None:
        """
        Say what is damaged, if *error* is about that, and what helps.
        """
        now = time.monotonic()
        if error.reason in _DAMAGE and now >= self._silent_until:
            self._silent_until = now + _PAUSE
            _log.error(
                "%s; `thim db verify` says what is damaged, `thim db restore "
                "--replace` puts a backup in its place",
                error,
            )
