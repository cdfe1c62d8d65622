"""
What was asked of the simulated vendor, and when.
"""

from __future__ import annotations

import collections
import datetime
import threading

from typing import TYPE_CHECKING, Final

import msgspec


if TYPE_CHECKING:
    from collections.abc import Iterator

#: How many are kept; `Requests.total` counts them all.
KEPT: Final = 100_000


class Recorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One request.

    Attributes:
        instant: When it came, by the simulation's clock.
        method, path: As they came.
        query: The query; see ``thim.simulate.redact`` for what is missing.
        route: What was asked for.
        number: The TCB evaluation data number that it came down to.
        has_key: Whether there was a subscription key, or the secret of a
            provider.
        platform, product, chip: The machine, product line or chip that it is
            about.
        body: The body, in the form of a query, again without secrets.
    """

    instant: datetime.datetime
    method: str
    path: str
    query: str
    route: str
    number: int | None
    has_key: bool
    platform: str | None = None
    body: str = ""
    product: str | None = None
    chip: str | None = None


class Requests:
    """
    The newest requests, oldest first; safe for several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: collections.deque[Recorded] = collections.deque(maxlen=KEPT)
        self._total = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Recorded]:
        with self._lock:
            return iter(list(self._kept))

    @property
    def total(self) -> int:
        """
        How many there were since the start or the last `clear`.
        """
        return self._total

    def add(self, request: Recorded) -> None:
        """
        Keep *request*.
        """
        with self._lock:
            self._kept.append(request)
            self._total += 1

    def of(self, route: str, text: str = "") -> list[Recorded]:
        """
        Return the requests for *route* whose query has *text* in it.
        """
        return [r for r in self if r.route == route and text in r.query]

    def clear(self) -> None:
        """
        Forget them all.
        """
        with self._lock:
            self._kept.clear()
            self._total = 0
