"""
The PCK certificates that the simulated Intel has issued.

They are issued once and then kept: whoever asks again gets the same bytes.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.simulate.certified import list_entries, to_platform
from thim.simulate.pck import (
    ISSUERS,
    Platform,
    issue_pck_certificate,
    pck_serial,
)
from thim.simulate.pki import SIGNER_UNTIL


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric import ec

    from thim.intel.authorities import Authority
    from thim.simulate.orders import Order
    from thim.simulate.pki import Intel
    from thim.simulate.platform_part import PlatformPart
    from thim.simulate.world import World

_KEPT: Final = 65536


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Issue:
    """What there is to a certificate beside the platform."""

    platform: Platform
    seed: str
    longer: datetime.timedelta
    is_late: bool
    is_broken: bool


class PckIssuer:
    """
    The two PCK CAs; *pki_of* returns the authorities of a seed.
    """

    def __init__(self, pki_of: Callable[[str], Intel]) -> None:
        self._pki_of = pki_of
        self._keep = functools.lru_cache(_KEPT)(self._issue)

    def certificate(self, order: Order, platform: Platform) -> x509.Certificate:
        """
        Return the certificate of *platform* as *order* wants it.
        """
        if order.other_ppid:
            platform = dataclasses.replace(
                platform, ppid=other_ppid(platform.ppid)
            )
        issue = _Issue(
            platform=platform,
            seed=order.seed,
            longer=order.longer,
            is_late=order.late_signer,
            is_broken=order.broken_signature,
        )
        return self._keep(issue)

    def _issue(self, issue: _Issue) -> x509.Certificate:
        pki, platform = self._pki_of(issue.seed), issue.platform
        certificate = issue_pck_certificate(
            pki,
            platform,
            until=SIGNER_UNTIL + issue.longer,
            signer=late_key(pki, ISSUERS[platform.ca])
            if issue.is_late
            else None,
        )
        if not issue.is_broken:
            return certificate
        der = certificate.public_bytes(Encoding.DER)
        # A signature stands at the end.
        return x509.load_der_x509_certificate(der[:-1] + bytes([der[-1] ^ 1]))


def late_key(pki: Intel, authority: Authority) -> ec.EllipticCurvePrivateKey:
    """
    Return the key of *authority* whose certificate begins too late.
    """
    return pki.key(f"{authority.value}, later")


def other_ppid(ppid: bytes) -> bytes:
    """
    Return a PPID that is not *ppid*.
    """
    return hashlib.sha256(b"other/" + ppid).digest()[: len(ppid)]


def serials_of(pki: Intel, world: World, part: PlatformPart) -> Iterator[int]:
    """
    Yield the serial numbers of all certificates that a machine will ever
    have, whichever way it is registered.
    """
    # One of several packages may come by either way.
    policies = (
        {True, False} if part.has_packages else {part.cached_keys is not False}
    )
    for entry in list_entries(world, part, None):
        for cached_keys in sorted(policies) if entry.is_available else ():
            platform = to_platform(
                world, part, entry.tcb, cached_keys=cached_keys
            )
            yield pck_serial(pki, platform)
