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


class DamageLog:
    """
    Tells of damage; one per process.

    A *replica* is made anew by its node: nobody is to restore anything.
    """

    def __init__(self, *, is_replica: bool = False) -> None:
        self._advice = _REMADE if is_replica else _RESTORE
        self._silent_until = 0.0

    def note(self, error: ThimError) -> None:
        """
        Say what is damaged, if *error* is about that, and what helps.
        """
        now = time.monotonic()
        if error.reason in _DAMAGE and now >= self._silent_until:
            self._silent_until = now + _PAUSE
            _log.error("%s; %s", error, self._advice)
