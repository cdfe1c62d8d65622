"""
A simulation: the parts that the vendor's port and the admin port share.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any

from thim.simulate.amd import SimulatedAmd
from thim.simulate.amd_pki import to_pem as ark_to_pem
from thim.simulate.chip import Chip, look_up_chip
from thim.simulate.clock import Clock
from thim.simulate.evidence import QuoteKind, QuoteOrder, make_quote
from thim.simulate.faults import Faults
from thim.simulate.hcl import make_hcl_report
from thim.simulate.intel import SimulatedIntel
from thim.simulate.machine import Machine, look_up
from thim.simulate.records import Requests
from thim.simulate.snp_evidence import ReportOrder, SigningKey, make_report
from thim.x509.chain import TrustAnchors, to_pem


if TYPE_CHECKING:
    from thim.simulate.world import World


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """
    What there is of a simulation without a socket.

    Attributes:
        intel: What Intel signs; ``intel.world`` may be replaced.
        amd: What AMD signs, in the same world.
        clock: The instant at which all of it plays.
        faults: What goes wrong.
        requests: What has been asked.
    """

    intel: SimulatedIntel
    amd: SimulatedAmd
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
        intel = SimulatedIntel(world)
        return cls(
            intel=intel,
            amd=SimulatedAmd(lambda: intel.world),
            clock=clock or Clock(start.start, frozen=start.frozen),
        )

    @property
    def anchors(self) -> TrustAnchors:
        """
        The trust anchors that pin the root keys of all vendors.
        """
        pins = self.intel.anchors.spki_sha256 | self.amd.anchors.spki_sha256
        return TrustAnchors(spki_sha256=pins)

    @property
    def roots(self) -> bytes:
        """
        The root certificates in PEM: Intel's, and the ARKs of AMD's product
        lines where the world has AMD.
        """
        intel = to_pem([self.intel.pki.root])
        return intel + b"".join(map(ark_to_pem, self.amd.roots))

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

    def report(
        self,
        chip: str,
        *,
        signing_key: SigningKey | str = SigningKey.VCEK,
        **fields: Any,  # noqa: ANN401 - bytes, numbers
    ) -> bytes:
        """
        Make an SEV-SNP report of the chip called *chip*.

        Args:
            chip: The name of a chip of the world.
            signing_key: ``vcek``, ``vlek`` or ``none``.
            fields: What the report says, by the names of the fields of
                ``thim.simulate.snp_body``.

        Raises:
            ParameterError: There is no such chip, or it cannot say so.
            ValueError: There is no such key.
        """
        order = ReportOrder(
            chip=chip, signing_key=SigningKey(signing_key), fields=fields
        )
        return make_report(self.amd, order)

    def hcl_report(
        self,
        chip: str,
        *,
        claims: bytes | None = None,
        user_data: bytes = bytes(64),
        **fields: Any,  # noqa: ANN401 - as above
    ) -> bytes:
        """
        Make the same in the form of Azure's confidential VMs.

        Args:
            chip: The name of a chip of the world.
            claims: The runtime claims, JSON, unless those of an ordinary VM.
            user_data: 64 bytes in these.
            fields: As in *report*; ``report_data`` binds the claims unless it
                is given.

        Raises:
            ParameterError: As in *report*.
        """
        order = ReportOrder(chip=chip, fields=fields)
        return make_hcl_report(
            self.amd, order, claims=claims, user_data=user_data
        )

    def platform(self, name: str) -> Machine:
        """
        Look up the machine called *name*, as Intel knows it now.

        Raises:
            ParameterError: There is no such machine.
        """
        return look_up(self.intel, name, self.clock())

    def chip(self, name: str) -> Chip:
        """
        Look up the chip called *name*, as AMD knows it now.

        Raises:
            ParameterError: There is no such chip.
        """
        return look_up_chip(self.amd, name, self.clock())
