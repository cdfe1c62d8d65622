"""
A simulation: the parts that the vendor's port and the admin port share.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.simulate.clock import Clock
from thim.simulate.faults import Faults
from thim.simulate.intel import SimulatedIntel
from thim.simulate.records import Requests


if TYPE_CHECKING:
    from thim.simulate.world import World
    from thim.x509.chain import TrustAnchors


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """
    What there is of a simulation without a socket.

    Attributes:
        intel: What is signed; ``intel.world`` may be replaced.
        clock: The instant at which all of it plays.
        faults: What goes wrong.
        requests: What has been asked.
    """

    intel: SimulatedIntel
    clock: Clock
    faults: Faults = dataclasses.field(default_factory=Faults)
    requests: Requests = dataclasses.field(default_factory=Requests)

    @classmethod
    def of(cls, world: World, clock: Clock | None = None) -> Simulation:
        """
        Begin with *world*, at the instant that it says unless *clock* has
        another.
        """
        start = world.clock
        return cls(
            intel=SimulatedIntel(world),
            clock=clock or Clock(start.start, frozen=start.frozen),
        )

    @property
    def anchors(self) -> TrustAnchors:
        """
        The trust anchors that pin the simulation's root key.
        """
        return self.intel.anchors
