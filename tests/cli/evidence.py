"""
A world whose machines give evidence, and the command that verifies it.
"""

import dataclasses
import datetime

from collections.abc import Callable
from typing import Any

from tests.cli.sim import Sim
from thim.simulate.evidence import QuoteKind, QuoteOrder, make_quote
from thim.simulate.server import Simulated
from thim.simulate.snp_evidence import (
    ReportOrder,
    SigningKey,
    make_report,
)


#: Where MRTD begins in a quote of version 4.
MRTD = 184
DAY = datetime.timedelta(days=1)
#: What every object has, whatever became of the evidence.
KEYS = {
    "authentic",
    "tcb_status",
    "advisories",
    "evaluation_number",
    "findings",
}


@dataclasses.dataclass(frozen=True)
class World:
    """
    A vendor's world, with a setup in front of it.
    """

    sim: Sim
    thim: Callable[..., Any]

    @property
    def vendor(self) -> Simulated:
        """
        The vendor.
        """
        return self.sim.vendor

    def quote(self, kind=QuoteKind.TDX_V4, machine="sapphire-1", raw_tcb=0):
        """
        Have a machine make a quote, and write it to a file.
        """
        intel = self.vendor.intel
        order = QuoteOrder(platform=machine, kind=kind, raw_tcb=raw_tcb)
        raw = make_quote(intel.world, intel.pki, order, self.vendor.clock())
        return self.write(raw)

    def report(self, chip="milan-1", by=SigningKey.VCEK, **fields):
        """
        Have a chip make a report, and write it to a file.
        """
        order = ReportOrder(chip=chip, signing_key=by, fields=fields)
        raw = make_report(self.vendor.amd, order)
        return self.write(raw)

    def write(self, raw):
        """
        Write evidence to a file.
        """
        file = self.sim.folder / "evidence.bin"
        file.write_bytes(raw)
        return file

    def verify(self, file, *rest):
        """
        Run ``thim verify``.
        """
        return self.thim("verify", file, "--config", self.sim.config, *rest)
