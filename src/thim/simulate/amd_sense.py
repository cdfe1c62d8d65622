"""
What a world file must not say of AMD and its chips although each field reads
well.
"""

from __future__ import annotations

import datetime
import fnmatch

from typing import TYPE_CHECKING, Final

from thim.amd.tcb import ProductLine
from thim.errors import MalformedError
from thim.simulate.amd_part import hw_id_of
from thim.simulate.orders import AMD_ROUTES
from thim.simulate.repeats import find_repeats
from thim.simulate.world import parse_duration


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.simulate.amd_part import (
        AmdPart,
        AuthorityRevocationPart,
        ChipPart,
        SplPart,
    )
    from thim.simulate.world import World

#: A VLEK lives for a year, and must not end before the next one begins.
_LONGEST_REISSUE: Final = datetime.timedelta(days=360)


def find_amd_problems(world: World) -> Iterator[str]:
    """
    Yield what is wrong with a world's AMD.
    """
    if world.chips and world.amd is None:
        yield "chips: there is no table amd"
    if world.amd is not None:
        yield from _amd_problems(world.amd)
    yield from _chip_problems(world)


def _amd_problems(amd: AmdPart) -> Iterator[str]:
    resign, lifetime = parse_duration(amd.resign), parse_duration(amd.lifetime)
    if not resign:
        yield f"amd.resign: got {amd.resign!r}, expected some time"
    if lifetime <= resign:
        yield "amd.lifetime: expected longer than amd.resign"
    if not parse_duration(amd.reissue):
        yield f"amd.reissue: got {amd.reissue!r}, expected some time"
    if parse_duration(amd.reissue) > _LONGEST_REISSUE:
        yield f"amd.reissue: expected at most {_LONGEST_REISSUE.days}d"
    if not _matches_any(amd.limit.routes):
        yield (
            f"amd.limit.routes: got {amd.limit.routes!r}, expected a pattern "
            f"for any of {', '.join(AMD_ROUTES)}"
        )
    for key in ("csp_id", "secret"):
        keys = [getattr(provider, key) for provider in amd.providers]
        yield from find_repeats("amd.providers", key, keys)
    for i, revocation in enumerate(amd.revocations):
        yield from _revocation_problems(f"amd.revocations[{i}]", revocation)


def _matches_any(pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in AMD_ROUTES)


def _revocation_problems(
    where: str, revocation: AuthorityRevocationPart
) -> Iterator[str]:
    if revocation.until and revocation.until <= revocation.since:
        yield f"{where}.until: not after its since"
    is_genoa = revocation.product is ProductLine.GENOA
    if revocation.authority == "first-ask" and not is_genoa:
        yield f"{where}.authority: only Genoa has had a first ASK"


def _chip_problems(world: World) -> Iterator[str]:
    chips = world.chips
    yield from find_repeats("chips", "name", [chip.name for chip in chips])
    yield from find_repeats(
        "chips", "hw_id", [(c.product, hw_id_of(world, c)) for c in chips]
    )
    providers = {p.csp_id for p in world.amd.providers} if world.amd else set()
    for i, chip in enumerate(chips):
        where = f"chips[{i}]"
        size = chip.product.hw_id_size
        if chip.hw_id is not None and len(chip.hw_id) != 2 * size:
            yield f"{where}.hw_id: expected {2 * size} hexadecimal digits"
        if chip.csp_id not in {None, *providers}:
            yield (
                f"{where}.csp_id: got {chip.csp_id!r}, expected one of "
                f"amd.providers"
            )
        yield from _cpuid_problems(where, chip)
        yield from _tcb_problems(where, chip)


def _cpuid_problems(where: str, chip: ChipPart) -> Iterator[str]:
    cpuid = chip.processor
    try:
        product = ProductLine.from_cpuid(cpuid.family, cpuid.model)
    except MalformedError as e:
        yield f"{where}.cpuid: {e}"
    else:
        if product is not chip.product:
            yield f"{where}.cpuid: that is {product.value}"


def _tcb_problems(where: str, chip: ChipPart) -> Iterator[str]:
    given: dict[str, SplPart | None] = {
        "tcb": chip.tcb,
        "committed": chip.committed,
        "current": chip.current,
        "launch": chip.launch,
        **{f"tcbs[{i}]": tcb for i, tcb in enumerate(chip.tcbs or [])},
    }
    for name, part in given.items():
        if part and part.fmc and "fmc" not in chip.product.components:
            yield f"{where}.{name}.fmc: {chip.product.value} has none"
            return
    if not chip.has_key_for(chip.tcb_called("reported")):
        name = "current" if chip.tcbs is None else "tcbs"
        yield f"{where}.{name}: leaves out its tcb"
