"""
What a world file must not say although each of its fields reads well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.errors import OperatorError
from thim.intel.names import Tee
from thim.intel.tcb import ENCLAVE_STATUSES
from thim.simulate.world import parse_duration


if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from thim.simulate.world import (
        FmspcPart,
        IsvLevelPart,
        LevelPart,
        NumberPart,
        World,
    )


def check_sense(world: World, source: str) -> None:
    """
    Refuse a world that contradicts itself; *source* names it in the error.

    Raises:
        OperatorError: With the first contradiction.
    """
    for problem in _problems(world):
        msg = f"{source}: {problem}"
        raise OperatorError(msg, reason="world-field")


def _problems(world: World) -> Iterator[str]:
    intel = world.intel
    yield from _duration_problems(world)
    if intel.require_api_key and intel.api_key is None:
        yield "intel.require_api_key: there is no intel.api_key to require"
    yield from _twice(
        "intel.numbers", "number", [n.number for n in intel.numbers]
    )
    for i, number in enumerate(intel.numbers):
        yield from _number_problems(f"intel.numbers[{i}]", number)
    fmspcs = [f.fmspc.upper() for f in intel.fmspcs]
    yield from _twice("intel.fmspcs", "fmspc", fmspcs)
    for i, fmspc in enumerate(intel.fmspcs):
        yield from _fmspc_problems(f"intel.fmspcs[{i}]", fmspc)
    kinds = [e.kind.value for e in intel.enclaves]
    yield from _twice("intel.enclaves", "kind", kinds)
    for i, enclave in enumerate(intel.enclaves):
        yield from _isv_problems(f"intel.enclaves[{i}]", enclave.levels)
    yield from _twice(
        "intel.tdx_modules", "id", [m.id for m in intel.tdx_modules]
    )
    for i, module in enumerate(intel.tdx_modules):
        yield from _isv_problems(f"intel.tdx_modules[{i}]", module.levels)
    for i, revocation in enumerate(intel.revocations):
        if revocation.until and revocation.until <= revocation.since:
            yield f"intel.revocations[{i}].until: not after its since"
    yield from _platform_problems(world)


def _duration_problems(world: World) -> Iterator[str]:
    resign = parse_duration(world.intel.resign)
    lifetime = parse_duration(world.intel.lifetime)
    if not resign:
        yield f"intel.resign: got {world.intel.resign!r}, expected some time"
    if lifetime <= resign:
        yield "intel.lifetime: expected longer than intel.resign"


def _number_problems(where: str, number: NumberPart) -> Iterator[str]:
    for name in ("early", "standard", "withdrawn"):
        instant = getattr(number, name)
        if instant is not None and instant < number.since:
            yield f"{where}.{name}: before it is listed"


def _fmspc_problems(where: str, fmspc: FmspcPart) -> Iterator[str]:
    yield from _twice(f"{where}.tees", "name", [t.value for t in fmspc.tees])
    for i, level in enumerate(fmspc.levels):
        if (level.tdx is not None) != (Tee.TDX in fmspc.tees):
            word = "missing" if level.tdx is None else "there"
            yield f"{where}.levels[{i}].tdx: {word}, but tees say otherwise"
    yield from _twice(
        f"{where}.levels", "sgx and pcesvn", [_svns(x) for x in fmspc.levels]
    )


def _svns(level: LevelPart) -> tuple[bytes, int]:
    return bytes(level.sgx).ljust(16, b"\0"), level.pcesvn


def _isv_problems(where: str, levels: Sequence[IsvLevelPart]) -> Iterator[str]:
    yield from _twice(f"{where}.levels", "isvsvn", [x.isvsvn for x in levels])
    for i, level in enumerate(levels):
        listed = level.status
        statuses = listed.values() if isinstance(listed, dict) else [listed]
        if bad := set(statuses) - ENCLAVE_STATUSES:
            got = min(status.value for status in bad)
            yield f"{where}.levels[{i}].status: got {got!r}, not for enclaves"


def _platform_problems(world: World) -> Iterator[str]:
    platforms = world.platforms
    yield from _twice("platforms", "name", [p.name for p in platforms])
    yield from _twice(
        "platforms", "qe_id", [p.qe_id.upper() for p in platforms]
    )
    for i, platform in enumerate(platforms):
        if world.find_fmspc(platform.fmspc) is None:
            yield (
                f"platforms[{i}].fmspc: got {platform.fmspc!r}, expected one "
                f"of intel.fmspcs"
            )


def _twice(where: str, what: str, keys: Iterable[Hashable]) -> Iterator[str]:
    seen: set[Hashable] = set()
    for i, key in enumerate(keys):
        if key in seen:
            yield f"{where}[{i}]: the {what} is there already"
        seen.add(key)
