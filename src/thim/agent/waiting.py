"""
How long to wait before the next try.
"""

from __future__ import annotations

from typing import Final


#: After a failure: two seconds, four, eight and so on, up to five minutes.
_FIRST: Final = 2.0
_LAST: Final = 300.0
_JITTER: Final = 0.3


def back_off(failures: int, retry_after: int | None, draw: float) -> float:
    """
    Return the seconds to wait after the latest of *failures* in a row, never
    less than *retry_after*, which the service asked for.

    They are fewer by up to 30 % as *draw* (0 to 1) decides, so that hosts that
    failed together do not come back together; what was asked for is kept.
    """
    doublings = min(max(failures, 1) - 1, 16)
    wait = min(_FIRST * (1 << doublings), _LAST) * (1 - _JITTER * draw)
    if retry_after is None:
        return wait
    return max(wait, retry_after * (1 + _JITTER * draw))
