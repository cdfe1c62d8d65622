"""
Commands that say themselves what goes wrong.
"""

from __future__ import annotations

import contextlib
import logging

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGS: Final = ("thim.vendors", "stamina")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """
    Keep out of the log for a while what is in the command's report.
    """
    logs = [logging.getLogger(name) for name in _LOGS]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)
