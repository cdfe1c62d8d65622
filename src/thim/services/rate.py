"""
How often each caller may have the vendors asked.
"""

from __future__ import annotations

import collections
import ipaddress

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from datetime import datetime

_MOST_SOURCES: Final = 10_000
_MINUTE: Final = 60.0


class SourceRate:
    """
    A budget for each source address: *per_minute* at once, and as many more
    in each minute.

    An IPv6 source is its /64: one host has as many addresses as it likes.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._spent: collections.OrderedDict[str, tuple[float, float]] = (
            collections.OrderedDict()
        )

    def has_left(self, source: str, now: datetime, about: str = "") -> bool:
        """
        Tell whether *source* has something left, without taking any of it.
        """
        spent = self._find(network_of(source) + about, now.timestamp())
        return spent + 1 <= self._per_minute

    def _find(self, name: str, at: float) -> float:
        spent, since = self._spent.get(name, (0.0, at))
        earned = max(0.0, at - since) * self._per_minute / _MINUTE
        return max(0.0, spent - earned)

    def spend(self, source: str, now: datetime, about: str = "") -> bool:
        """
        Take one out of *source*'s budget; return whether there was one.

        *about* tells several budgets of one source apart.
        """
        name, at = network_of(source) + about, now.timestamp()
        spent = self._find(name, at)
        self._spent.pop(name, None)
        is_allowed = spent + 1 <= self._per_minute
        self._spent[name] = (spent + is_allowed, at)
        if len(self._spent) > _MOST_SOURCES:
            self._spent.popitem(last=False)
        return is_allowed


def is_loopback(source: str) -> bool:
    """
    Tell whether the address *source* is this machine's own.
    """
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def network_of(source: str) -> str:
    """
    Write the network that counts as one *source*: itself, or an IPv6 /64.
    """
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return source
