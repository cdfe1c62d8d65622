"""
How a platform stands under a set of collateral: a code of one byte.
"""

from __future__ import annotations

import enum

from typing import Final

from thim.intel.tcb import ACCEPTABLE_STATUSES, TcbStatus


class Standing(enum.IntEnum):
    """
    A status of Intel's, or why there is none.
    """

    UP_TO_DATE = 0
    SW_HARDENING_NEEDED = 1
    CONFIGURATION_NEEDED = 2
    CONFIGURATION_AND_SW_HARDENING_NEEDED = 3
    OUT_OF_DATE = 4
    OUT_OF_DATE_CONFIGURATION_NEEDED = 5
    REVOKED = 6
    #: The platform, its TDX module or its quoting enclave is beneath them.
    BELOW_EVERY_LEVEL = 7
    #: The number has no TCB info for the FMSPC, or no identity.
    NO_DOCUMENT = 8
    #: Nothing can be said of TDX.
    NO_TDX_SVNS = 9

    @classmethod
    def of(cls, status: TcbStatus | None) -> Standing:
        """
        Return the standing for *status*, None being beneath every level.
        """
        return cls.BELOW_EVERY_LEVEL if status is None else cls[status.name]

    @property
    def status(self) -> TcbStatus | None:
        """Intel's word, where there is one."""
        return _STATUSES.get(self)

    @property
    def is_acceptable(self) -> bool:
        """Whether it is at the baseline."""
        return self.status in ACCEPTABLE_STATUSES

    def __str__(self) -> str:
        return self.status.value if self.status else _WORDS[self]


_STATUSES: Final = {
    Standing[status.name]: status
    for status in TcbStatus
    if status.name in Standing.__members__
}
_WORDS: Final = {
    Standing.BELOW_EVERY_LEVEL: "below-every-level",
    Standing.NO_DOCUMENT: "no-document",
    Standing.NO_TDX_SVNS: "no-tdx-svns",
}
