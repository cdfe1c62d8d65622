"""
The machines of the demo: whose they are, what they are, how far behind.

Everything is drawn from the size alone, so the same size is the same fleet.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random

from typing import TYPE_CHECKING, Final

from thim.amd.tcb import ProductLine
from thim.simulate.amd_part import ChipPart, CpuidPart, SplPart
from thim.simulate.platform_part import PlatformPart, TcbPart


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SITES: Final = ("ams", "fra", "osl")
#: The label by which a platform is a tenant's.
CUSTOMER: Final = "customer"
_RACK: Final = 16

#: Names, for the table below.
BANK: Final = "bank"
HEALTH: Final = "health"
LAB: Final = "lab"

_ICE: Final = {
    18: TcbPart(cpusvn="12120303FF0100000000000000000000", pcesvn=13),
    16: TcbPart(cpusvn="10100303FF0100000000000000000000", pcesvn=13),
    14: TcbPart(cpusvn="0E0E0303FF0000000000000000000000", pcesvn=13),
    7: TcbPart(cpusvn="07090303FF0000000000000000000000", pcesvn=11),
}
_SAPPHIRE: Final = {
    9: TcbPart(cpusvn="09090202030100030000000000000000", pcesvn=13),
    8: TcbPart(cpusvn="08080202030100030000000000000000", pcesvn=13),
    7: TcbPart(cpusvn="07070202030100030000000000000000", pcesvn=11),
    4: TcbPart(cpusvn="04040202030100030000000000000000", pcesvn=11),
}
_GRANITE: Final = {
    4: TcbPart(cpusvn="04040202040100050000000000000000", pcesvn=13),
    2: TcbPart(cpusvn="02020202040100050000000000000000", pcesvn=13),
}
_COFFEE: Final = {
    20: TcbPart(cpusvn="1414020401800E000000000000000000", pcesvn=13),
    14: TcbPart(cpusvn="0E0E0204018000000000000000000000", pcesvn=10),
}
_CLIENT: Final = {
    3: TcbPart(cpusvn="03030202000100000000000000000000", pcesvn=13),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """
    Machines that were bought together.

    Attributes:
        share: So many of a hundred machines.
        word: What their names begin with.
        fmspc: Their family.
        owner: The tenant whose they are, None for nobody's.
        tcbs: Which TCBs they have, each with its weight.
        patched: The share (0 to 1) of those below the first of *tcbs* that
            have it by now.
        packages: Whether they have several sockets.
        tdx: Whether they run trust domains.
    """

    share: int
    word: str
    fmspc: str
    owner: str | None
    tcbs: Sequence[tuple[TcbPart, int]]
    patched: float = 0.0
    packages: bool = False
    tdx: bool = False


#: What is not Intel's of a hundred machines is AMD's: few, since a simulated
#: AMD needs as long for a VCEK as Intel for the certificates of ten machines.
LOTS: Final = (
    Lot(
        share=18,
        word="ice",
        fmspc="00606A000000",
        owner=BANK,
        tcbs=[(_ICE[18], 70), (_ICE[16], 20), (_ICE[14], 8), (_ICE[7], 2)],
    ),
    Lot(
        share=8,
        word="ice2s",
        fmspc="00606A000000",
        owner=BANK,
        tcbs=[(_ICE[18], 90), (_ICE[16], 10)],
        packages=True,
    ),
    Lot(
        share=8,
        word="coffee",
        fmspc="00906ED50000",
        owner=BANK,
        tcbs=[(_COFFEE[20], 85), (_COFFEE[14], 15)],
    ),
    Lot(
        share=8,
        word="sapphire",
        fmspc="00806F050000",
        owner=BANK,
        tcbs=[(_SAPPHIRE[8], 80), (_SAPPHIRE[7], 20)],
        tdx=True,
    ),
    Lot(
        share=23,
        word="sapphire",
        fmspc="00806F050000",
        owner=HEALTH,
        tcbs=[
            (_SAPPHIRE[9], 0),
            (_SAPPHIRE[8], 90),
            (_SAPPHIRE[7], 8),
            (_SAPPHIRE[4], 2),
        ],
        patched=0.6,
        tdx=True,
    ),
    Lot(
        share=14,
        word="ice",
        fmspc="00606A000000",
        owner=HEALTH,
        tcbs=[(_ICE[18], 88), (_ICE[16], 12)],
    ),
    Lot(
        share=8,
        word="granite",
        fmspc="00A06D080000",
        owner=LAB,
        tcbs=[(_GRANITE[4], 85), (_GRANITE[2], 15)],
        tdx=True,
    ),
    Lot(
        share=5,
        word="sapphire2s",
        fmspc="00806F050000",
        owner=LAB,
        tcbs=[(_SAPPHIRE[9], 0), (_SAPPHIRE[8], 100)],
        patched=0.8,
        packages=True,
        tdx=True,
    ),
    Lot(
        share=3,
        word="client",
        fmspc="00A067110000",
        owner=LAB,
        tcbs=[(_CLIENT[3], 100)],
    ),
    Lot(
        share=2,
        word="spare",
        fmspc="00606A000000",
        owner=None,
        tcbs=[(_ICE[14], 100)],
    ),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """
    A machine of Intel's: its *part* in the vendors' world, its *labels*, and
    whether it has TDX.  The first of its raw TCBs is the one that it had when
    it was registered, the second, if there is one, the one that it has now.
    """

    part: PlatformPart
    labels: Mapping[str, str]
    has_tdx: bool

    @property
    def name(self) -> str:
        """
        What it is called, in the vendors' world and at the service.
        """
        return self.part.name

    @property
    def newest(self) -> int:
        """
        Which of its raw TCBs it has by now, from 0.
        """
        return len(self.part.raw_tcbs) - 1

    @property
    def is_patched(self) -> bool:
        """
        Whether it was given newer microcode since it was registered.
        """
        return self.newest > 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DemoFleet:
    """
    All machines: *members* are Intel's, *chips* AMD's.
    """

    members: Sequence[Member]
    chips: Sequence[ChipPart]

    @classmethod
    def of(cls, size: int) -> DemoFleet:
        """
        Draw a fleet of *size* machines; at least one of each kind.
        """
        draw = random.Random(size)  # noqa: S311 - no secret
        members = [m for lot in LOTS for m in _draw_lot(lot, size, draw)]
        rest = max(size - len(members), len(_CHIPS))
        return cls(members=members, chips=list(_draw_chips(rest, draw)))

    def __len__(self) -> int:
        return len(self.members) + len(self.chips)


def _draw_lot(lot: Lot, size: int, draw: random.Random) -> Iterator[Member]:
    count = max(1, size * lot.share // 100)
    tcbs, weights = zip(*lot.tcbs, strict=True)
    for number in range(1, count + 1):
        raw = [draw.choices(tcbs, weights)[0]]
        if lot.patched and draw.random() < lot.patched:
            raw.append(tcbs[0])
        name = f"{lot.word}-{lot.owner or 'pool'}-{number:03}"
        yield Member(
            part=PlatformPart(
                name=name,
                qe_id=hashlib.sha256(name.encode()).hexdigest()[:32].upper(),
                fmspc=lot.fmspc,
                raw_tcbs=raw,
                multi_package=lot.packages,
                registered=lot.packages,
            ),
            labels=_label(lot.owner, number),
            has_tdx=lot.tdx,
        )


def _label(owner: str | None, number: int) -> dict[str, str]:
    rack = number // _RACK
    labels = {"site": SITES[rack % len(SITES)], "rack": f"{rack + 1:02}"}
    return labels if owner is None else {CUSTOMER: owner, **labels}


#: Of AMD's chips each stands for so many of ten.
_CHIPS: Final = (
    (
        3,
        ChipPart(
            name="milan",
            product=ProductLine.MILAN,
            tcb=SplPart(bootloader=4, snp=27, microcode=222),
        ),
    ),
    (
        1,
        ChipPart(
            name="milan-old",
            product=ProductLine.MILAN,
            tcb=SplPart(bootloader=3, snp=21, microcode=209),
        ),
    ),
    (
        2,
        ChipPart(
            name="genoa",
            product=ProductLine.GENOA,
            tcb=SplPart(bootloader=10, snp=27, microcode=84),
        ),
    ),
    (
        1,
        ChipPart(
            name="bergamo",
            product=ProductLine.GENOA,
            cpuid=CpuidPart(family=0x19, model=0xA0, stepping=2),
            tcb=SplPart(bootloader=10, snp=27, microcode=27),
        ),
    ),
    (
        2,
        ChipPart(
            name="turin",
            product=ProductLine.TURIN,
            tcb=SplPart(fmc=1, bootloader=1, tee=1, snp=4, microcode=81),
        ),
    ),
    (
        1,
        ChipPart(
            name="turin-old",
            product=ProductLine.TURIN,
            tcb=SplPart(fmc=0, bootloader=1, tee=0, snp=2, microcode=71),
        ),
    ),
)


def _draw_chips(count: int, draw: random.Random) -> Iterator[ChipPart]:
    weights = [weight for weight, _ in _CHIPS]
    kinds = [kind for _, kind in _CHIPS]
    # One of each first, so that a small fleet has all of them.
    drawn = [*kinds, *draw.choices(kinds, weights, k=count)][:count]
    for number, kind in enumerate(drawn, 1):
        yield ChipPart(
            name=f"{kind.name}-{number:03}",
            product=kind.product,
            tcb=kind.tcb,
            cpuid=kind.cpuid,
        )
