"""
TCBs and TCB levels: what a platform has, and what reaching a level means.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError


if TYPE_CHECKING:
    import datetime

_SVNS: Final = 16


class TcbStatus(enum.Enum):
    """
    A TCB level's status, spelled as in Intel's JSON.

    The two about relaunching never stand in a document: they come of comparing
    a TD's TCB at launch with today's.
    """

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    REVOKED = "Revoked"
    TD_RELAUNCH_ADVISED = "TDRelaunchAdvised"
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = (
        "TDRelaunchAdvisedConfigurationNeeded"
    )


#: What a level of a TCB info can have.
PLATFORM_STATUSES: Final = frozenset(
    {
        TcbStatus.UP_TO_DATE,
        TcbStatus.SW_HARDENING_NEEDED,
        TcbStatus.CONFIGURATION_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        TcbStatus.OUT_OF_DATE,
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
        TcbStatus.REVOKED,
    }
)

#: What a TDX module or an enclave can be: it has no configuration.
ENCLAVE_STATUSES: Final = frozenset(
    {TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE, TcbStatus.REVOKED}
)
#: What is at the baseline, for Open Enclave and for Azure Attestation too.
ACCEPTABLE_STATUSES: Final = frozenset(
    {TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED}
)
#: What has the TCB of the baseline, but may want another configuration.
CURRENT_STATUSES: Final = ACCEPTABLE_STATUSES | {
    TcbStatus.CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tcb:
    """
    The security version numbers of a platform, or those a level asks for.

    For a platform, *sgx* and *pcesvn* come from its PCK certificate and *tdx*
    from the TD report; *tdx* is empty for SGX.
    """

    sgx: bytes
    pcesvn: int
    tdx: bytes = b""

    def __post_init__(self) -> None:
        if len(self.sgx) != _SVNS or len(self.tdx) not in {0, _SVNS}:
            msg = f"{len(self.sgx)} SGX and {len(self.tdx)} TDX components"
            raise MalformedError(msg)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TcbLevel:
    """
    One entry of a TCB info's ``tcbLevels``: a floor and what reaching it means.

    *tcb_date* is absent in TCB infos of version 1.
    """

    tcb: Tcb
    status: TcbStatus
    tcb_date: datetime.datetime | None = None
    advisory_ids: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IsvLevel:
    """One TCB level of an enclave or a TDX module: its ``isvsvn``."""

    isvsvn: int
    status: TcbStatus
    tcb_date: datetime.datetime
    advisory_ids: tuple[str, ...] = ()


def parse_status(text: str, allowed: frozenset[TcbStatus]) -> TcbStatus:
    """
    Read a ``tcbStatus``.

    Raises:
        MalformedError: Not one of *allowed*.  An unknown status is never
            taken for a harmless one.
    """
    try:
        status = TcbStatus(text)
    except ValueError:
        status = None
    if status is None or status not in allowed:
        msg = f"tcbStatus is {text[:60]!r}"
        raise MalformedError(msg, reason="tcb-status")
    return status
