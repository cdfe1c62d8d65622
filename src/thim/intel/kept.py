"""
What has been verified and need not be verified again: bounded, and for any
number of threads.
"""

from __future__ import annotations

import threading

from typing import Generic, TypeVar


K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """
    The *most* values that were kept last.
    """

    __slots__ = ("_lock", "_most", "_values", "find")

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[K, V] = {}
        self._lock = threading.Lock()
        #: Return what is kept under a key, None if nothing is.
        self.find = self._values.get

    def __len__(self) -> int:
        return len(self._values)

    def keep(self, key: K, value: V) -> None:
        """
        Keep *value* under *key*; what was kept first may have to go.
        """
        if not self._most:
            return
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value
            while len(self._values) > self._most:
                del self._values[next(iter(self._values))]
