"""
How many requests each caller makes.
"""

from __future__ import annotations

import collections
import fnmatch
import math
import threading
import time

from typing import TYPE_CHECKING

from thim.simulate.refusals import LimitedError
from thim.simulate.world import parse_duration


if TYPE_CHECKING:
    from datetime import datetime

    from thim.simulate.amd_part import LimitPart
    from thim.simulate.orders import Route


class Limiter:
    """
    The requests of late, by the address of the caller; safe for several
    threads.

    Attributes:
        is_on: Whether anything is limited; a test may set it to False.
    """

    def __init__(self) -> None:
        self.is_on = True
        self._lock = threading.Lock()
        self._admitted: dict[str, collections.deque[float]] = {}

    def admit(
        self, rule: LimitPart, route: Route, client: str, now: datetime
    ) -> None:
        """
        Count a request, unless *rule* does not apply to it.

        Args:
            rule: What is allowed.
            route: What is asked for.
            client: The address of the caller.
            now: The instant of the simulation.

        Raises:
            LimitedError: It is one too many, and not counted.
        """
        is_meant = fnmatch.fnmatchcase(route.value, rule.routes)
        if not (self.is_on and rule.requests and is_meant):
            return
        is_real = rule.clock == "real"
        instant = time.monotonic() if is_real else now.timestamp()
        window = parse_duration(rule.window).total_seconds()
        with self._lock:
            admitted = self._admitted.setdefault(client, collections.deque())
            # A clock that was moved back has requests in its future.
            while admitted and not 0 <= instant - admitted[0] < window:
                admitted.popleft()
            if len(admitted) >= rule.requests:
                seconds = math.ceil(admitted[0] + window - instant)
                raise LimitedError(seconds if rule.retry_after else None)
            admitted.append(instant)
