"""
The request for any document: what one vendor's services are asked, and how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.collateral.records import AMD, Kind
from thim.upstream.kds import find_kds_request
from thim.upstream.pck import find_pck_request
from thim.upstream.pcs import find_request


if TYPE_CHECKING:
    from thim.collateral.targets import Target
    from thim.upstream.model import Request, Upstream
    from thim.upstream.pck import PlatformSecrets

#: To ask for one is to name a machine.
_OF_MACHINES: Final = frozenset({Kind.PCK_CERTIFICATES, Kind.VCEK})


def write_request(
    upstream: Upstream, target: Target, secrets: PlatformSecrets | None = None
) -> Request | None:
    """
    Write the request for *target*, None where this upstream cannot have it;
    where that are a platform's PCK certificates, by *secrets*.
    """
    if upstream.vendor != target.key.vendor:
        return None
    if target.key.kind in _OF_MACHINES and not upstream.machines:
        return None
    if target.key.vendor == AMD:
        return find_kds_request(upstream, target)
    if secrets is not None:
        return find_pck_request(upstream, secrets)
    return find_request(upstream, target)
