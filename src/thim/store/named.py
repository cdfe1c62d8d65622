"""
The replica's platforms, found by what Intel's PCS is asked with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import PlatformId
from thim.store.file import making_sense
from thim.store.numbers import NAMES, PROVEN


if TYPE_CHECKING:
    from thim.store.replica import Replica

#: One may have been given for more than one platform: that is meant of which
#: certificates came by it, whose registration counts most, who is in service.
_BY_NAME: Final = f"""
    SELECT p.qe_id, p.pce_id
      FROM platform_names n JOIN platforms p ON p.id = n.id / {NAMES}
     WHERE n.digest = ?
     ORDER BY n.id % {NAMES} < {PROVEN}, p.voucher DESC,
              p.retired IS NOT NULL, p.id LIMIT 1
"""  # noqa: S608 - constants only


def find_by_name(replica: Replica, digest: bytes) -> PlatformId | None:
    """
    Find the platform that is named by what has *digest*
    (``collateral.platforms.digest_name``).
    """
    row = replica.first(_BY_NAME, (digest,))
    with making_sense():
        return PlatformId(*row) if row else None
