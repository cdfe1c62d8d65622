"""
What a vendor is asked for, and what is known of asking.
"""

from __future__ import annotations

import dataclasses

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.records import (
    INTEL,
    CollateralKey,
    Kind,
    pck_certificates_key,
)
from thim.intel.names import Update


if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from thim.collateral.platforms import PlatformId


#: What is planned, leased or believed for longer than this was written while
#: the clock was ahead: a clock that is set back must not stop everything.
LONGEST_PLAN: Final = timedelta(days=40)
CLOCK_SKEW: Final = timedelta(minutes=5)
LONGEST_LEASE: Final = timedelta(hours=1)
LONGEST_ABSENCE: Final = timedelta(hours=2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    A document to ask a vendor for.

    *number* asks for the document of that evaluation number, *update* for
    the one that a channel of the vendor's points to; both are None for kinds
    without numbers.
    """

    key: CollateralKey
    number: int | None = None
    update: Update | None = None

    def __str__(self) -> str:
        if self.number is not None:
            return f"{self.key}?number={self.number}"
        if self.update is not None:
            return f"{self.key}?update={self.update.value}"
        return str(self.key)

    @classmethod
    def from_name(cls, name: str) -> Self:
        """
        Read a target as it is written.

        Raises:
            ValueError: Not a key with at most a number or an update behind.
        """
        document, mark, query = name.partition("?")
        key = CollateralKey.from_name(document)
        if not mark:
            return cls(key=key)
        parameter, _, value = query.partition("=")
        if parameter == "number":
            return cls(key=key, number=int(value))
        if parameter == "update":
            return cls(key=key, update=Update(value))
        msg = f"got {query!r}, expected number=N or update=early|standard"
        raise ValueError(msg)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """
    What is known of asking for one target.

    *due* is when it is to be asked for again, None for only on demand;
    *attempted* and *answered* when it was last asked for, and last answered
    with a document that held; *failures* counts the attempts since.  *reason*
    and *detail* say why the last one failed.  The vendor has no such document
    before *absent_until*.  *leased_until* is set while somebody asks.
    """

    target: Target
    due: datetime | None = None
    attempted: datetime | None = None
    answered: datetime | None = None
    failures: int = 0
    reason: str | None = None
    detail: str | None = None
    absent_until: datetime | None = None
    leased_until: datetime | None = None

    def is_absent(self, now: datetime) -> bool:
        """
        Tell whether the vendor is known to have no such document.
        """
        until = self.absent_until
        return until is not None and now < until <= now + LONGEST_ABSENCE

    def is_leased(self, now: datetime) -> bool:
        """
        Tell whether somebody is asking for it at *now*.
        """
        until = self.leased_until
        return until is not None and now < until <= now + LONGEST_LEASE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AddressState:
    """
    What is known of a vendor address.

    *free_at* is when its budget is full again.  *closed_until* is set while
    nobody is to ask there.  *clock_ahead* is by how many seconds its clock
    was ahead of ours when it last answered.
    """

    address: str
    free_at: datetime
    requests: int
    failures: int
    closed_until: datetime | None
    answered: datetime | None
    failed: datetime | None
    reason: str | None
    detail: str | None
    clock_ahead: float | None


#: The names of all of them lie from the first of these to before the other.
PCK_TARGETS: Final = (
    f"{INTEL}/{Kind.PCK_CERTIFICATES.value}/",
    f"{INTEL}/{Kind.PCK_CERTIFICATES.value}0",
)


def pck_target(platform: PlatformId) -> Target:
    """
    Return the target that are the certificates of a registered platform.
    """
    return Target(key=pck_certificates_key(platform.qe_id, platform.pce_id))
