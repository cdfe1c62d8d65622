"""
From where the agent may be asked.
"""

from __future__ import annotations

import dataclasses
import ipaddress

from typing import TYPE_CHECKING, Final, TypeAlias


if TYPE_CHECKING:
    from collections.abc import Iterable

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

#: This machine, whichever of its addresses it asks from.
_LOOPBACK: Final = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128")))
#: RFC 3927 and RFC 4291: what no router passes on.
_LINK_LOCAL: Final = tuple(
    map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10"))
)


@dataclasses.dataclass(frozen=True, slots=True)
class Networks:
    """The networks that may ask."""

    allowed: tuple[Network, ...]

    @classmethod
    def of(
        cls, listed: Iterable[Network] | None, own: Iterable[Network]
    ) -> Networks:
        """
        Allow what is *listed*, or else link-local addresses and the *own*
        networks of the interface; this machine always may.
        """
        chosen = (*_LINK_LOCAL, *own) if listed is None else tuple(listed)
        return cls((*_LOOPBACK, *chosen))

    def allow(self, host: str) -> bool:
        """
        Tell whether whoever asks from the address *host* may.
        """
        address = _parse(host)
        return address is not None and any(
            address in network for network in self.allowed
        )


def _parse(host: str) -> _IpAddress | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def is_loopback(host: str) -> bool:
    """
    Tell whether the address *host* is this machine's loopback.
    """
    address = _parse(host)
    return address is not None and address.is_loopback
