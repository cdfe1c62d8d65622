"""
What a verified TCB is worth: the levels that its parts are at, and the one
status that comes of them.

Intel's QVL 1.27, ``EvaluateTcb.cpp`` and ``QuoteVerifier.cpp``.  A platform,
its TDX module and its QE have a level each; only those levels count, not the
ones below.  The rules of convergence and of relaunch advice are tables because
they are no maximum: an outdated QE makes "configuration needed" into "out of
date, configuration needed", which neither of them was.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.intel.tcb import CURRENT_STATUSES, TcbStatus


if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from thim.intel.pck import PckCertificate
    from thim.intel.tcb import IsvLevel, TcbLevel


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """
    The levels that a TCB is at.

    Attributes:
        platform: The level of the TCB info; None where there is none so low.
        module: The TDX module's level.
        qe: The quoting enclave's level.
        has_module: Whether the module has levels of its own: not for SGX, nor
            for TDX modules of version 0.
        status: What the levels converge to; None unless all of them are there
            (``TCB_NOT_SUPPORTED`` of QVL).
    """

    platform: TcbLevel | None
    module: IsvLevel | None
    qe: IsvLevel | None
    has_module: bool
    status: TcbStatus | None

    @property
    def levels(self) -> tuple[TcbLevel | IsvLevel, ...]:
        """The levels that are there."""
        found = (self.platform, self.module, self.qe)
        return tuple(level for level in found if level is not None)

    @property
    def tcb_date(self) -> datetime | None:
        """The earliest TCB date of the levels; None without a status."""
        dates = [lev.tcb_date for lev in self.levels if lev.tcb_date]
        return min(dates, default=None) if self.status else None

    @property
    def advisory_ids(self) -> tuple[str, ...]:
        """What Intel's advisories say of the levels, sorted."""
        return tuple(
            sorted({a for level in self.levels for a in level.advisory_ids})
        )


@dataclasses.dataclass(frozen=True, slots=True)
class TcbVerdict:
    """
    What a verified TCB is worth.

    Attributes:
        pck: The platform, and the TCB that its PCK certificate is for.
        ends: The end of the PCK chain.
        launch: The levels by what the TD was launched under; for an enclave
            and for TDX 1.0 the same as *current*.
        current: The levels by what it runs under now.
        status: Intel's word, with its advice to relaunch; None where a level
            is missing.
    """

    pck: PckCertificate
    ends: datetime
    launch: Evaluation
    current: Evaluation
    status: TcbStatus | None


def evaluate(
    platform: TcbLevel | None,
    qe: IsvLevel | None,
    module: IsvLevel | None = None,
    *,
    has_module: bool = False,
) -> Evaluation:
    """
    Combine the levels of a platform's parts.
    """
    status = None
    if platform is not None and qe is not None:
        if not has_module:
            status = converge(platform.status, (qe.status,))
        elif module is not None:
            status = converge(platform.status, (module.status, qe.status))
    return Evaluation(platform, module, qe, has_module, status)


_WHEN_A_PART_IS_OUT_OF_DATE: Final = {
    TcbStatus.UP_TO_DATE: TcbStatus.OUT_OF_DATE,
    TcbStatus.SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE,
    TcbStatus.CONFIGURATION_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: (
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED
    ),
}


def converge(platform: TcbStatus, parts: Iterable[TcbStatus]) -> TcbStatus:
    """
    Combine the *platform*'s status with those of its *parts*: the QE and the
    TDX module.
    """
    statuses = set(parts)
    if TcbStatus.REVOKED in statuses:
        return TcbStatus.REVOKED
    if TcbStatus.OUT_OF_DATE in statuses:
        return _WHEN_A_PART_IS_OUT_OF_DATE.get(platform, platform)
    return platform


_NEEDS_CONFIGURATION: Final = frozenset(
    {
        TcbStatus.CONFIGURATION_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    }
)
_OUTDATED: Final = frozenset(
    {TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED}
)


def advise(launch: TcbStatus, current: TcbStatus) -> TcbStatus:
    """
    Say what a TD's status is that was launched at *launch* and runs at
    *current* now: relaunching it may be all that it needs.

    This is the rule of QVL 1.27; 1.24 to 1.26 had another.
    """
    if launch not in _OUTDATED or current not in CURRENT_STATUSES:
        return launch
    if {launch, current} & _NEEDS_CONFIGURATION:
        return TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
    return TcbStatus.TD_RELAUNCH_ADVISED


def highest_first(levels: Iterable[IsvLevel]) -> tuple[IsvLevel, ...]:
    """
    Sort *levels* of an enclave or a TDX module, as QVL does.
    """
    return tuple(sorted(levels, key=lambda lev: lev.isvsvn, reverse=True))


def find_isv_level(levels: Iterable[IsvLevel], isvsvn: int) -> IsvLevel | None:
    """
    Return the first of *levels*, highest first, that *isvsvn* reaches.
    """
    return next((lev for lev in levels if isvsvn >= lev.isvsvn), None)
