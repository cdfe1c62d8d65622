"""
What must be fetched before a platform's PCK certificate can be answered.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import RegisteredBy, Voucher
from thim.collateral.targets import Target, pck_target
from thim.errors import NotFoundError
from thim.services.pck import PckQuery
from thim.services.vendors import FillMode
from thim.store.pck import PckReader
from thim.upstream.pck import PlatformSecrets, knows_qe_ids


if TYPE_CHECKING:
    from thim.collateral.platforms import PlatformId
    from thim.services.pck import PckListQuery
    from thim.services.side import VendorSide

_ASKABLE: Final = frozenset(
    {RegisteredBy.ENCRYPTED_PPID, RegisteredBy.MANIFEST}
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckWant:
    """
    What to ask for, and by what: None is for what is registered.
    """

    target: Target
    secrets: PlatformSecrets | None


def find_pck_want(side: VendorSide, query: PckQuery | PckListQuery) -> PckWant:
    """
    Find out what to ask the vendors for, so that *query* can be answered.

    A platform that is registered is asked for by what it is registered with.
    Another one only in LAZY mode, and by an encrypted PPID that came along, or
    where an upstream knows platforms by their QE ID.

    Raises:
        NotFoundError: There is nothing to ask by, or it would be in vain: the
            certificates are there, and none fits.
    """
    reader, platform = PckReader(side.replica), query.platform
    known = reader.find_platform(platform)
    if known is not None and known.fmspc is not None:
        msg = f"platform {platform}: none of its PCK certificates fits"
        raise NotFoundError(msg, reason="tcb-too-low")
    if known is not None and known.registered_by in _ASKABLE:
        return PckWant(target=pck_target(platform), secrets=None)
    if known is not None and known.voucher > Voucher.ANYBODY:
        # Whoever registered it decides by what the vendor is asked.
        msg = f"platform {platform}: no PCK certificate is known yet"
        raise NotFoundError(msg, reason="no-pck-certificate")
    is_lazy = side.settings.mode is FillMode.LAZY
    has_secret = query.enc_ppid is not None or any(
        knows_qe_ids(upstream) for upstream in side.settings.upstreams
    )
    if not has_secret or not is_lazy:
        msg = f"platform {platform} is not known"
        raise NotFoundError(msg, reason="unknown-platform")
    return PckWant(
        target=_anonymous(platform, query.enc_ppid),
        secrets=PlatformSecrets(
            platform=platform,
            enc_ppid=query.enc_ppid,
            raw_tcb=query.raw_tcb if isinstance(query, PckQuery) else None,
        ),
    )


def _anonymous(platform: PlatformId, enc_ppid: bytes | None) -> Target:
    # Nobody vouches for the pair: who sends another PPID under this QE ID must
    # not have the vendor's answer taken for the right one's.
    digest = hashlib.sha256(enc_ppid or b"").hexdigest()[:16].upper()
    key = pck_target(platform).key
    named = dataclasses.replace(key, subject=f"{key.subject}:{digest}")
    return Target(key=named)
