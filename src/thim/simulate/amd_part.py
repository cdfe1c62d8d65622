"""
AMD and its chips, as a world's file describes them.
"""

from __future__ import annotations

import datetime
import hashlib

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from msgspec import Meta

from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import ParameterError
from thim.simulate.parts import CspId, Duration, HwId, Instant, Name, Part


if TYPE_CHECKING:
    from thim.simulate.world import World

Spl = Annotated[int, Meta(ge=0, le=0xFF)]
Byte = Annotated[int, Meta(ge=0, le=0xFF)]


class SplPart(Part, frozen=True, kw_only=True):
    """A TCB version: the security patch levels of its components."""

    fmc: Spl = 0
    bootloader: Spl = 0
    tee: Spl = 0
    snp: Spl = 0
    microcode: Spl = 0

    def to_tcb(self, product: ProductLine) -> TcbVersion:
        """
        Return it as one of *product*.
        """
        return TcbVersion(product=product, **msgspec.structs.asdict(self))


class CpuidPart(Part, frozen=True, kw_only=True):
    """Family and model (both combined) and stepping."""

    family: Byte
    model: Byte
    stepping: Byte


_CPUIDS: Final = {
    ProductLine.MILAN: CpuidPart(family=0x19, model=0x01, stepping=1),
    ProductLine.GENOA: CpuidPart(family=0x19, model=0x11, stepping=1),
    ProductLine.TURIN: CpuidPart(family=0x1A, model=0x02, stepping=1),
}


class ChipPart(Part, frozen=True, kw_only=True):
    """
    A chip.

    Attributes:
        name: What the simulation calls it.
        product: Its product line.
        tcb: The TCB that it reports, and to which its key is bound.
        committed, current, launch: The other three in its reports; None: the
            same.
        tcbs: The TCBs for which there are VCEKs; None: all at or beneath
            *current*.
        hw_id: Its hardware ID; None: made from its name.
        cpuid: What it is; None: the first of its product line.
        csp_id: The provider whose VLEK is loaded.
    """

    name: Name
    product: ProductLine
    tcb: SplPart
    committed: SplPart | None = None
    current: SplPart | None = None
    launch: SplPart | None = None
    tcbs: Annotated[list[SplPart], Meta(min_length=1)] | None = None
    hw_id: HwId | None = None
    cpuid: CpuidPart | None = None
    csp_id: CspId | None = None

    def tcb_called(self, name: str) -> TcbVersion:
        """
        Return the ``reported``, ``committed``, ``current`` or ``launch`` TCB.
        """
        part = self.tcb if name == "reported" else getattr(self, name)
        return (part or self.tcb).to_tcb(self.product)

    @property
    def processor(self) -> CpuidPart:
        """
        What it is.
        """
        return self.cpuid or _CPUIDS[self.product]

    def has_key_for(self, tcb: TcbVersion) -> bool:
        """
        Tell whether there is a key of it for *tcb*.
        """
        if self.tcbs is not None:
            return tcb in [x.to_tcb(self.product) for x in self.tcbs]
        return not self.tcb_called("current").shortfalls(tcb)


class LimitPart(Part, frozen=True, kw_only=True):
    """
    How many requests a caller's address may make.

    Attributes:
        requests: So many ..., as many as they like if it is 0.
        window: ... in so much time; the others are answered 429.
        routes: Which requests count, as a shell pattern.
        clock: Which clock counts.
        retry_after: Whether it says when to come again.
    """

    requests: Annotated[int, Meta(ge=0)] = 1
    window: Duration = "10s"
    routes: Annotated[str, Meta(min_length=1, max_length=100)] = "v[cl]ek"
    clock: Literal["simulation", "real"] = "simulation"
    retry_after: bool = True


class AuthorityRevocationPart(Part, frozen=True, kw_only=True):
    """
    An authority that the CRL of its ARK lists from *since* on, for ever or to
    *until*.
    """

    product: ProductLine
    authority: Literal["ask", "asvk", "first-ask"]
    since: Instant
    until: Instant | None = None

    def is_listed(self, at: datetime.datetime) -> bool:
        """
        Tell whether the CRL of the instant *at* lists it.
        """
        return self.since <= at and (self.until is None or at < self.until)


class ProviderPart(Part, frozen=True, kw_only=True):
    """A cloud service provider: its name in VLEKs, and how it asks."""

    csp_id: CspId
    secret: Name


class AmdPart(Part, frozen=True, kw_only=True):
    """
    What AMD says, and how it signs it.

    Attributes:
        resign, lifetime: How often CRLs are issued anew, how long they live.
        reissue: How often VCEKs and VLEKs are.
        limit: How often a caller may ask.
        providers: Who gets VLEKs.
        revocations: Authorities that are revoked.
    """

    resign: Duration = "30d"
    lifetime: Duration = "365d"
    reissue: Duration = "180d"
    limit: LimitPart = LimitPart()
    providers: list[ProviderPart] = msgspec.field(default_factory=list)
    revocations: list[AuthorityRevocationPart] = msgspec.field(
        default_factory=list
    )


def hw_id_of(world: World, part: ChipPart) -> bytes:
    """
    Return the hardware ID of a chip.
    """
    if part.hw_id is not None:
        return bytes.fromhex(part.hw_id)
    text = f"{world.seed}/chip/{part.name}"
    return hashlib.shake_256(text.encode()).digest(part.product.hw_id_size)


def find_chip(
    world: World, product: ProductLine, hw_id: bytes
) -> ChipPart | None:
    """
    Return the chip of *product* with that hardware ID.
    """
    for part in world.chips:
        if part.product is product and hw_id_of(world, part) == hw_id:
            return part
    return None


def chip_named(world: World, name: str) -> ChipPart:
    """
    Return the chip called *name*.

    Raises:
        ParameterError: There is none.
    """
    for part in world.chips:
        if part.name == name:
            return part
    names = ", ".join(part.name for part in world.chips) or "nothing"
    raise ParameterError("chip", name, f"expected {names}")
