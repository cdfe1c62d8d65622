"""
The replica's platforms, found by what Intel's PCS is asked with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import PlatformId
from thim.store.file import making_sense


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.store.replica import Replica

#: One may have been sent under more than one QE ID: whose registration counts
#: most is meant, and who is in service.
_BEST: Final = "ORDER BY p.voucher DESC, p.retired IS NOT NULL, p.id LIMIT 1"
_BY_ENC_PPID: Final = f"""
    SELECT p.qe_id, p.pce_id
      FROM platform_secrets s JOIN platforms p ON p.id = s.platform_id
     WHERE substr(s.enc_ppid, 1, 8) = substr(?1, 1, 8) AND s.enc_ppid = ?1
       AND p.pce_id = ?2 {_BEST}
"""  # noqa: S608 - constants only
_BY_MANIFEST: Final = f"""
    SELECT p.qe_id, p.pce_id
      FROM manifests m JOIN platforms p ON p.id = m.platform_id
     WHERE m.digest = ? {_BEST}
"""  # noqa: S608


def find_by_enc_ppid(
    replica: Replica, enc_ppid: bytes, pce_id: bytes
) -> PlatformId | None:
    """
    Find the platform that was registered with these very bytes (384): they are
    others each time that a PPID is encrypted.
    """
    return _platform_id(replica.first(_BY_ENC_PPID, (enc_ppid, pce_id)))


def find_by_manifest(replica: Replica, digest: bytes) -> PlatformId | None:
    """
    Find the platform that a manifest with *digest* was brought of
    (``collateral.platforms.digest_manifest``).
    """
    return _platform_id(replica.first(_BY_MANIFEST, (digest,)))


def _platform_id(row: Sequence[bytes] | None) -> PlatformId | None:
    with making_sense():
        return PlatformId(*row) if row else None
