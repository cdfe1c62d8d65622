"""
What a world file must not say although each of its fields reads well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.errors import OperatorError
from thim.intel.names import PckCa, Tee
from thim.intel.tcb import ENCLAVE_STATUSES
from thim.simulate.amd_sense import find_amd_problems
from thim.simulate.identifiers import enc_ppid_of, manifest_of, ppid_of
from thim.simulate.repeats import find_repeats
from thim.simulate.world import parse_duration


if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from thim.simulate.platform_part import PlatformPart
    from thim.simulate.world import (
        FmspcPart,
        IsvLevelPart,
        LevelPart,
        NumberPart,
        RevocationPart,
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
    yield from find_repeats(
        "intel.numbers", "number", [n.number for n in intel.numbers]
    )
    for i, number in enumerate(intel.numbers):
        yield from _number_problems(f"intel.numbers[{i}]", number)
    fmspcs = [f.fmspc.upper() for f in intel.fmspcs]
    yield from find_repeats("intel.fmspcs", "fmspc", fmspcs)
    for i, fmspc in enumerate(intel.fmspcs):
        yield from _fmspc_problems(f"intel.fmspcs[{i}]", fmspc)
    kinds = [e.kind.value for e in intel.enclaves]
    yield from find_repeats("intel.enclaves", "kind", kinds)
    for i, enclave in enumerate(intel.enclaves):
        yield from _isv_problems(f"intel.enclaves[{i}]", enclave.levels)
    yield from find_repeats(
        "intel.tdx_modules", "id", [m.id for m in intel.tdx_modules]
    )
    for i, module in enumerate(intel.tdx_modules):
        yield from _isv_problems(f"intel.tdx_modules[{i}]", module.levels)
    yield from _platform_problems(world)
    for i, revocation in enumerate(intel.revocations):
        where = f"intel.revocations[{i}]"
        yield from _revocation_problems(where, world, revocation)
    yield from find_amd_problems(world)


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
    yield from find_repeats(
        f"{where}.tees", "name", [t.value for t in fmspc.tees]
    )
    for i, level in enumerate(fmspc.levels):
        if (level.tdx is not None) != (Tee.TDX in fmspc.tees):
            word = "missing" if level.tdx is None else "there"
            yield f"{where}.levels[{i}].tdx: {word}, but tees say otherwise"
    yield from find_repeats(
        f"{where}.levels", "sgx and pcesvn", [_svns(x) for x in fmspc.levels]
    )


def _svns(level: LevelPart) -> tuple[bytes, int]:
    return bytes(level.sgx).ljust(16, b"\0"), level.pcesvn


def _isv_problems(where: str, levels: Sequence[IsvLevelPart]) -> Iterator[str]:
    yield from find_repeats(
        f"{where}.levels", "isvsvn", [x.isvsvn for x in levels]
    )
    for i, level in enumerate(levels):
        listed = level.status
        statuses = listed.values() if isinstance(listed, dict) else [listed]
        if bad := set(statuses) - ENCLAVE_STATUSES:
            got = min(status.value for status in bad)
            yield f"{where}.levels[{i}].status: got {got!r}, not for enclaves"


def _platform_problems(world: World) -> Iterator[str]:
    platforms = world.platforms
    keys: dict[str, Iterable[Hashable]] = {
        "name": [p.name for p in platforms],
        "qe_id and pce_id": [
            (p.qe_id.upper(), p.pce_id.upper()) for p in platforms
        ],
        "ppid": map(ppid_of, platforms),
        "enc_ppid": map(enc_ppid_of, platforms),
        "manifest": (manifest_of(p) or p.name for p in platforms),
    }
    for what, values in keys.items():
        yield from find_repeats("platforms", what, values)
    for i, platform in enumerate(platforms):
        where = f"platforms[{i}]"
        if world.find_fmspc(platform.fmspc) is None:
            yield (
                f"{where}.fmspc: got {platform.fmspc!r}, expected one "
                f"of intel.fmspcs"
            )
        pck_tcbs = [
            (tcb.cpusvn.upper(), tcb.pcesvn) for tcb in platform.pck_tcbs or []
        ]
        yield from find_repeats(
            f"{where}.pck_tcbs", "cpusvn and pcesvn", pck_tcbs
        )
        yield from _registration_problems(where, world, platform)


def _registration_problems(
    where: str, world: World, platform: PlatformPart
) -> Iterator[str]:
    if world.find_ca(platform) is PckCa.PROCESSOR:
        if platform.has_packages:
            yield f"{where}.ca: the processor CA's have one package"
        if platform.cached_keys is not None:
            yield f"{where}.cached_keys: not in the processor CA's"
    if platform.registered and not platform.has_packages:
        yield f"{where}.registered: there is no manifest, nor multi_package"
    if not platform.has_packages:
        return
    if platform.registered and platform.cached_keys is False:
        yield f"{where}.cached_keys: false, but it is registered"
    if platform.cached_keys and not platform.registered:
        yield f"{where}.cached_keys: true, but it is not registered"


def _revocation_problems(
    where: str, world: World, revocation: RevocationPart
) -> Iterator[str]:
    if revocation.until and revocation.until <= revocation.since:
        yield f"{where}.until: not after its since"
    if not revocation.serials and not revocation.platforms:
        yield f"{where}: there are neither serials nor platforms"
    for i, name in enumerate(revocation.platforms):
        at = f"{where}.platforms[{i}]"
        platform = world.find_platform(name)
        if platform is None:
            yield f"{at}: got {name!r}, expected one of platforms"
        elif (ca := world.find_ca(platform)).value != revocation.ca:
            yield f"{at}: {name!r} has certificates of the {ca.value} CA"
