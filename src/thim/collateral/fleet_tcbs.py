"""
What evidence or an inventory tells of a machine's TCB.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError


if TYPE_CHECKING:
    from datetime import datetime

    from thim.collateral.platforms import PlatformId

_SVNS: Final = 16
_FMSPC: Final = 6
_MOST_SVN: Final = 0xFFFF


class Origin(enum.Enum):
    """Who told it."""

    ATTESTED = "attested"
    IMPORTED = "imported"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FleetTcb:
    """
    The TCB of one machine, as far as it is told.

    Attributes:
        id: How it is asked for.
        name: What it is called, if it is.
        fmspc: 6 bytes.
        components: The SVNs of the 16 SGX components of its PCK certificate.
        pcesvn: That certificate's PCESVN.
        tee_tcb_svn: The 16 bytes of TEE_TCB_SVN that run now.
        qe_svn: The ISVSVN of its quoting enclave, ...
        td_qe_svn: ... and of the one for TDX.
        origin: Who told it, ...
        source: ... and where.
        seen: When.

    Raises:
        MalformedError: Another length, an SVN that is none, or components
            without a PCESVN.
    """

    id: PlatformId
    name: str | None = None
    fmspc: bytes
    components: bytes | None = None
    pcesvn: int | None = None
    tee_tcb_svn: bytes | None = None
    qe_svn: int | None = None
    td_qe_svn: int | None = None
    origin: Origin
    source: str
    seen: datetime

    def __post_init__(self) -> None:
        sizes = {"fmspc": _FMSPC, "components": _SVNS, "tee_tcb_svn": _SVNS}
        for name, size in sizes.items():
            value = getattr(self, name)
            if value is not None and len(value) != size:
                msg = f"{name}: got {len(value)} bytes, expected {size}"
                raise MalformedError(msg, reason="fleet-tcb")
        for name in ("pcesvn", "qe_svn", "td_qe_svn"):
            svn = getattr(self, name)
            if svn is not None and not 0 <= svn <= _MOST_SVN:
                msg = f"{name} is {svn}, expected 0 to {_MOST_SVN}"
                raise MalformedError(msg, reason="fleet-tcb")
        if (self.components is None) is not (self.pcesvn is None):
            msg = "components and PCESVN belong together: one is missing"
            raise MalformedError(msg, reason="fleet-tcb")


def stand_in(ppid: bytes) -> bytes:
    """
    Return what stands for the QE ID of a machine whose evidence names none: 16
    bytes of a digest of its PPID, which is nobody's business.
    """
    return hashlib.sha256(b"thim qe-id" + ppid).digest()[:16]
