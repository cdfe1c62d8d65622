"""
Where the chip is read from.
"""

from __future__ import annotations

import dataclasses
import enum

from pathlib import Path
from typing import TYPE_CHECKING, Final

from thim.agent.devices import read_guest, read_host
from thim.agent.identity import (
    Declared,
    Identity,
    Read,
    read_hcl_file,
    read_report_file,
    settle,
)
from thim.services.tsm import TSM


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GUEST_DEVICE: Final = Path("/dev/sev-guest")
HOST_DEVICE: Final = Path("/dev/sev")


class Source(enum.Enum):
    """What says which chip this is.  The values stand in a configuration."""

    REPORT = "report"
    HCL = "hcl"
    DEVICE = "device"
    SEV = "sev"


_READERS: Final[Mapping[Source, Callable[[Path], Read]]] = {
    Source.REPORT: read_report_file,
    Source.HCL: read_hcl_file,
    Source.DEVICE: read_guest,
    Source.SEV: read_host,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """
    How to learn which chip this is: from *path*, as *source* says, and by what
    is *declared*.  Without a source the declaration is all there is.
    """

    source: Source | None = None
    path: Path = Path()
    declared: Declared = dataclasses.field(default_factory=Declared)

    def read(self) -> Identity:
        """
        Read it, as it is now.

        Raises:
            OperatorError: Nothing usable, or two that contradict each other.
        """
        read = None
        if self.source is not None:
            read = _READERS[self.source](self.path)
        return settle(read, self.declared)


def find_chip() -> Chip | None:
    """
    Return how this machine's own chip is read, None where there is none of
    AMD's that can be.
    """
    if TSM.is_dir() or GUEST_DEVICE.exists():
        return Chip(source=Source.DEVICE, path=GUEST_DEVICE)
    if HOST_DEVICE.exists():
        return Chip(source=Source.SEV, path=HOST_DEVICE)
    return None
