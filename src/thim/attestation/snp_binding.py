"""
Whether data that came with an SEV-SNP report is what the report binds.

Runtime data by the first half of the report data, which the guest chose;
init-time data by the host data, which was there at launch.  The second half of
the report data belongs to the guest, and is not looked at.
"""

from __future__ import annotations

import hashlib
import hmac

from typing import TYPE_CHECKING

from thim.errors import UntrustedError


if TYPE_CHECKING:
    from thim.amd.report import Report


def check_snp_binding(
    report: Report, runtime: bytes | None, init_time: bytes | None
) -> None:
    """
    Check that *report* binds the data that is not None.

    Raises:
        UntrustedError: It binds something else: ``runtime-data`` or
            ``init-time-data``.
    """
    if runtime is not None:
        bound = report.report_data[:32]
        _compare("runtime-data", "the report data", bound, runtime)
    if init_time is not None:
        _compare("init-time-data", "the host data", report.host_data, init_time)


def _compare(reason: str, place: str, bound: bytes, data: bytes) -> None:
    found = hashlib.sha256(data).digest()
    if not hmac.compare_digest(found, bound):
        msg = (
            f"{reason.replace('-', ' ')}: SHA-256 is {found.hex()}, {place} "
            f"has {bound.hex()}"
        )
        raise UntrustedError(msg, reason=reason)
