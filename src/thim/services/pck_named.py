"""
Platforms as Intel's PCS is asked for them, and all their PCK certificates.

PCS knows no QE ID: a platform is named by its encrypted PPID or its manifest.
Those that certificates came by, or that it was registered with, are known
again, byte for byte; an encrypted PPID that was made anew is another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import NameKind, digest_name
from thim.errors import NotFoundError
from thim.services.pck import unknown_platform
from thim.store.named import find_by_name


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.collateral.platforms import HeldPck, PlatformId
    from thim.store.pck import PckReader
    from thim.store.replica import Replica


_WORDS: Final = {
    NameKind.ENCRYPTED_PPID: "encrypted PPID",
    NameKind.MANIFEST: "manifest",
}


def find_named(
    replica: Replica, kind: NameKind, secret: bytes, pce_id: bytes
) -> PlatformId:
    """
    Find the platform that is named by a *secret* of this *kind*, in clear.

    Raises:
        NotFoundError: None is (``unknown-manifest``,
            ``unknown-encrypted-ppid``).
        UnavailableError: The store cannot be read.
    """
    found = find_by_name(replica, digest_name(kind, secret, pce_id))
    if found is not None:
        return found
    msg = f"no platform was registered with this {_WORDS[kind]}"
    if kind is NameKind.ENCRYPTED_PPID:
        msg += "; it is another each time that it is made: qeid finds it always"
    reason = "unknown-" + _WORDS[kind].lower().replace(" ", "-")
    raise NotFoundError(msg, reason=reason)


def list_pcks(
    replica: Replica, reader: PckReader, platform: PlatformId
) -> Sequence[HeldPck]:
    """
    List the current PCK certificates of a platform, in the vendor's order.

    It is no sign of the machine: caches and tools ask for all of them.

    Raises:
        NotFoundError: It is not known (``unknown-platform``,
            ``pceid-byte-order``), or has none (``no-pck-certificate``) but of
            a revoked CA (``signer-revoked``).
        UnavailableError: The store cannot be read.
    """
    with replica.snapshot():
        known = reader.find_platform(platform)
        if known is None:
            raise unknown_platform(reader, platform)
        found = reader.certificates(known)
    if not found:
        msg = f"platform {platform}: no PCK certificate is known yet"
        raise NotFoundError(msg, reason="no-pck-certificate")
    served = [held for held in found if not held.is_signer_revoked]
    if not served:
        msg = f"platform {platform}: the signer of its PCKs is revoked"
        raise NotFoundError(msg, reason="signer-revoked")
    return served
