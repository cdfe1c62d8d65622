"""
What became of verifying a quote: one verdict, with all its reasons.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.intel.findings import list_notes, list_shortfalls
from thim.intel.report_body import Td15Body
from thim.intel.steps import Finding
from thim.intel.tcb import ACCEPTABLE_STATUSES


if TYPE_CHECKING:
    from datetime import datetime

    from thim.intel.evaluation import TcbVerdict
    from thim.intel.quote import Quote
    from thim.intel.quote_collateral import Collateral, Used
    from thim.intel.tcb import TcbStatus


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """
    Whether a quote is authentic, what its TCB is worth, and why.

    Three answers that are kept apart: *is_authentic*, *tcb_status*, and
    *expired*, the documents that had ended at *now*.  Whether a debug enclave
    or an expired document is acceptable is not said here.

    Attributes:
        quote: What was verified.
        now: The instant of the verdict.
        collateral: What it was verified with; None where it was refused
            without.
        failure: The step that did not hold; None if all did.
        tcb: What the TCB is worth; None unless the quote is authentic.
    """

    quote: Quote
    now: datetime
    collateral: Collateral | None
    failure: Finding | None
    tcb: TcbVerdict | None

    @property
    def is_authentic(self) -> bool:
        """Whether the quote was made by genuine hardware, and is intact."""
        return self.tcb is not None

    @property
    def is_acceptable(self) -> bool:
        """Whether it is authentic and its TCB is at the baseline."""
        return self.tcb_status in ACCEPTABLE_STATUSES

    @property
    def tcb_status(self) -> TcbStatus | None:
        """Intel's status; None where a level is missing or a step failed."""
        return self.tcb.status if self.tcb else None

    @property
    def advisory_ids(self) -> tuple[str, ...]:
        """The advisories of the levels that the TCB is at, sorted."""
        return self.tcb.launch.advisory_ids if self.tcb else ()

    @property
    def tcb_date(self) -> datetime | None:
        """The earliest date of those levels; None without a status."""
        has_status = self.tcb_status is not None
        return self.tcb.launch.tcb_date if self.tcb and has_status else None

    @property
    def earliest_expiry(self) -> datetime | None:
        """When the first of what decided ends: documents and PCK chain."""
        if self.collateral is None:
            return None
        ends = self.collateral.ends
        return min(ends, self.tcb.ends) if self.tcb else ends

    @property
    def expired(self) -> tuple[Used, ...]:
        """The documents that had ended at *now*."""
        return self.collateral.expired(self.now) if self.collateral else ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """
        All that stands between the quote and an acceptable verdict: the step
        that failed, or each component that is behind.
        """
        if self.failure is not None:
            return (self.failure,)
        if self.tcb is None or self.collateral is None or self.is_acceptable:
            return ()
        return tuple(list_shortfalls(self.quote, self.tcb, self.collateral))

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is no failure, but worth knowing."""
        if self.collateral is None:
            return ()
        return tuple(list_notes(self.now, self.tcb, self.collateral))

    @property
    def debug(self) -> bool:
        """Whether the enclave or TD can be looked into."""
        return self.quote.body.debug

    @property
    def service_td(self) -> bytes | None:
        """MRSERVICETD, where a service TD is bound to the TD."""
        body = self.quote.body
        if isinstance(body, Td15Body) and any(body.mrservicetd):
            return body.mrservicetd
        return None
