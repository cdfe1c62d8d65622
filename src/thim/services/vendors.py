"""
What a service is told about the vendors.
"""

from __future__ import annotations

import dataclasses
import enum

from datetime import timedelta
from typing import TYPE_CHECKING

from thim.collateral.records import AMD


if TYPE_CHECKING:
    from pathlib import Path

    from thim.upstream.model import Upstream


class FillMode(enum.Enum):
    """
    When the vendors are asked.

    LAZY for what callers ask for, and from then on ahead of expiry;
    REGISTERED only for what registered platforms and the setting ``fmspcs``
    need (PCCS calls it REQ); OFFLINE never.
    """

    LAZY = "lazy"
    REGISTERED = "registered"
    OFFLINE = "offline"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VendorSettings:
    """
    What a service is told about the vendors; it travels to each worker.

    Args:
        upstreams: Whom to ask, in this order.
        mode: When to ask.
        fmspcs: FMSPCs (upper-case hex) that are kept fresh from the start.
        asks_unknown: Whether a caller may have the vendors asked for an FMSPC
            that neither the archive nor the vendor's own list names.
        wait: The longest that a caller waits for a vendor.
        source_rate: How often in a minute one address may have the vendors
            asked.
        tick: How often the agenda is looked at.
        key_file: Holds the key that platforms' manifests are sealed with.
        is_one_of_several: Whether other nodes have the same ledger: then one
            of them refreshes the documents of each vendor.
    """

    upstreams: tuple[Upstream, ...] = ()
    mode: FillMode = FillMode.OFFLINE
    fmspcs: frozenset[str] = frozenset()
    asks_unknown: bool = False
    wait: timedelta = timedelta(seconds=2.5)
    source_rate: int = 60
    tick: timedelta = timedelta(seconds=0.5)
    key_file: Path | None = None
    is_one_of_several: bool = False

    @property
    def kds(self) -> tuple[Upstream, ...]:
        """
        Whom to ask for AMD's documents.
        """
        return tuple(u for u in self.upstreams if u.vendor == AMD)

    @property
    def is_on(self) -> bool:
        """
        Whether any vendor is ever asked.
        """
        return self.mode is not FillMode.OFFLINE and bool(self.upstreams)
