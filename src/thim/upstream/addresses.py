"""
Which addresses a webhook may lead to: public ones, and what its operator has
listed.

An IPv6 address may stand for an IPv4 address (NAT64, 6to4, Teredo, ISATAP): it
counts as public only where that one does.
"""

from __future__ import annotations

import ipaddress

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: IANA's special-purpose addresses, multicast and what is reserved; written
#: out because ``ipaddress`` changed its mind from release to release.
_SPECIAL_IPV4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
#: All others are not given to anybody.
_GLOBAL_IPV6: Final = (ipaddress.IPv6Network("2000::/3"), _NAT64)
#: Among them protocols' own addresses (Teredo's too), examples, and 6to4.
_SPECIAL_IPV6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
#: Here clouds tell machines who they are, and give keys away: no network that
#: somebody lists was meant to have them.
_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
        ),
    )
)
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
_LAST_32: Final = 0xFFFFFFFF


def parse_address(text: str) -> Address:
    """
    Read an address; one of IPv4 that is written as IPv6 (``::ffff:…``) is that
    of IPv4, which is what the kernel makes of it.

    Raises:
        ValueError: It is none.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def is_public(address: Address) -> bool:
    """
    Tell whether *address* is one that anybody on the Internet may have, and
    everything that it may stand for, too.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not _is_in(address, _SPECIAL_IPV4)
    is_given = _is_in(address, _GLOBAL_IPV6)
    is_special = _is_in(address, _SPECIAL_IPV6)
    return is_given and not is_special and all(map(is_public, meant(address)))


def is_allowed(
    address: Address, listed: Collection[Network], *, only_listed: bool
) -> bool:
    """
    Tell whether a webhook may lead to *address*: it is in a *listed* network,
    or public unless *only_listed* ones will do; and no cloud's metadata
    service is behind it.
    """
    if not _METADATA.isdisjoint({address, *meant(address)}):
        return False
    is_listed = _is_in(address, listed)
    return is_listed or (not only_listed and is_public(address))


def meant(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """
    Find the IPv4 addresses that an IPv6 *address* may stand for, but for
    ``::ffff:…``, which `parse_address` has seen to.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return
    number = int(address)
    is_nat64 = address in _NAT64 or address in _LOCAL_NAT64
    is_compatible = number <= _LAST_32
    is_isatap = (number >> 32) & _LAST_32 in _ISATAP
    if is_nat64 or is_compatible or is_isatap:
        yield ipaddress.IPv4Address(number & _LAST_32)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _is_in(address: Address, networks: Collection[Network]) -> bool:
    return any(address in network for network in networks)
