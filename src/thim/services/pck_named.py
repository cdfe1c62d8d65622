"""
Platforms as Intel's PCS is asked for them, and all their PCK certificates.

PCS knows no QE ID: a platform is named by its encrypted PPID or its manifest.
Those that it was registered with are known again, byte for byte; an encrypted
PPID that was made anew is another.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.collateral.platforms import digest_manifest
from thim.errors import NotFoundError
from thim.services.pck import unknown_platform
from thim.store.named import find_by_enc_ppid, find_by_manifest


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.collateral.platforms import HeldPck, PlatformId
    from thim.store.pck import PckReader
    from thim.store.replica import Replica


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckName:
    """
    What a platform is called by who has no QE ID: its *pce_id* (2 bytes as on
    the wire) and its *manifest*, or its *enc_ppid* (384 bytes).
    """

    pce_id: bytes
    manifest: bytes | None = dataclasses.field(default=None, repr=False)
    enc_ppid: bytes = dataclasses.field(default=b"", repr=False)


def find_named(replica: Replica, name: PckName) -> PlatformId:
    """
    Find the platform that was registered with what *name* has.

    Raises:
        NotFoundError: None was (``unknown-manifest``,
            ``unknown-encrypted-ppid``).
        UnavailableError: The store cannot be read.
    """
    if name.manifest is not None:
        digest = digest_manifest(name.manifest, name.pce_id)
        found = find_by_manifest(replica, digest)
        what, more = "manifest", ""
    else:
        found = find_by_enc_ppid(replica, name.enc_ppid, name.pce_id)
        what = "encrypted PPID"
        more = "; it is another each time that it is made: qeid finds it always"
    if found is not None:
        return found
    msg = f"no platform was registered with this {what}{more}"
    reason = f"unknown-{what.lower().replace(' ', '-')}"
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
