"""
The minimum TCB of an AMD product line.

AMD signs no list of what its bulletins ask for, so each value says where it
comes from.  Components are compared one by one, and never as one number.
Microcode is numbered by silicon: Genoa's numbers and those of its relatives,
which are the same product line, cannot be compared (SEV-SNP Firmware ABI, AMD
document 56860, "TCB_VERSION"; CPUID function 1, EAX).
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from thim.amd.tcb import TcbVersion

MICROCODE = "microcode"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Silicon:
    """
    A chip's CPUID: combined *family* and *model*, and *stepping*.
    """

    family: int
    model: int
    stepping: int

    def __str__(self) -> str:
        return f"{self.family:X}/{self.model:X}/{self.stepping:X}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """
    The least *spl* (0 to 255) of a component, and the *source* that says so.
    """

    spl: int
    source: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """
    The least TCB of one product line.

    *components* has the floors of bootloader, tee, snp and fmc; *microcode*
    those of each silicon.  There is no opinion on what is in neither.
    """

    components: Mapping[str, Floor] = dataclasses.field(default_factory=dict)
    microcode: Mapping[Silicon, Floor] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """
    A component below its floor.
    """

    component: str
    found: int
    needed: int
    source: str


def list_shortfalls(
    tcb: TcbVersion, minimum: Minimum, silicon: Silicon | None
) -> Iterator[Shortfall]:
    """
    List in which components *tcb* is below *minimum*.
    """
    floors = dict(minimum.components)
    if silicon is not None and silicon in minimum.microcode:
        floors[MICROCODE] = minimum.microcode[silicon]
    for component in tcb.product.components:
        floor, found = floors.get(component), getattr(tcb, component)
        if floor is not None and found < floor.spl:
            yield Shortfall(
                component=component,
                found=found,
                needed=floor.spl,
                source=floor.source,
            )


def list_unjudged(
    tcb: TcbVersion, minimum: Minimum, silicon: Silicon | None
) -> tuple[str, ...]:
    """
    List the components on which *minimum* has no opinion.
    """
    judged = set(minimum.components)
    if silicon in minimum.microcode:
        judged.add(MICROCODE)
    return tuple(c for c in tcb.product.components if c not in judged)
