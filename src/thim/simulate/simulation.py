"""
A simulation: the parts that the vendor's port and the admin port share.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any

from thim.simulate.clock import Clock
from thim.simulate.evidence import QuoteKind, QuoteOrder, make_quote
from thim.simulate.faults import Faults
from thim.simulate.intel import SimulatedIntel
from thim.simulate.machine import Machine, look_up
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

    def quote(
        self,
        platform: str,
        kind: QuoteKind | str,
        *,
        raw_tcb: int = 0,
        **fields: Any,  # noqa: ANN401 - bytes, numbers, a tuple of registers
    ) -> bytes:
        """
        Make a quote of the machine called *platform*, as it would now.

        Args:
            platform: The name of a machine of the world.
            kind: ``sgx-v3``, ``tdx-v4`` or ``tdx-v5``.
            raw_tcb: Which of its raw TCBs it has.
            fields: What the quote says, by the names of the fields of
                ``thim.simulate.quote_body``.

        Raises:
            ParameterError: There is no such machine, or it cannot quote so.
            ValueError: There is no such kind.
        """
        order = QuoteOrder(
            platform=platform,
            kind=QuoteKind(kind),
            raw_tcb=raw_tcb,
            fields=fields,
        )
        intel = self.intel
        return make_quote(
            intel.world, intel.pki, order, self.clock(), intel.registry
        )

    def platform(self, name: str) -> Machine:
        """
        Look up the machine called *name*, as Intel knows it now.

        Raises:
            ParameterError: There is no such machine.
        """
        return look_up(self.intel, name, self.clock())
