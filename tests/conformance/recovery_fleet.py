"""
The fleet of a TCB recovery, and what becomes of it: worked out from the world's
levels alone, by none of the code that is tested.
"""

from __future__ import annotations

import re

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.vendors import SAPPHIRE
from thim.intel.names import Tee
from thim.intel.tcb import TcbStatus
from thim.simulate.world import LevelPart, load_world


WORLD: Final = load_world(Path(__file__).with_name("august.toml"))
EVENTS: Final = {n.number: n.recovery_event for n in WORLD.intel.numbers}
#: Who tells of itself by evidence: the SVNs of its TDX components, of which the
#: first two are the module's.
TDX_SVNS: Final = {
    "td-mended": bytes([7, 1, 8]),
    "td-may": bytes([5, 1, 7]),
    "td-old-module": bytes([5, 1, 8]),
    "td-old-microcode": bytes([7, 1, 7]),
    "td-behind": bytes([5, 1, 6]),
}
#: It has the TCB that 20 asks for, and the vendor has a certificate for that
#: when 20 is there.
EARLY_BIRD: Final = "early-bird"
#: Whose platforms are those of a laboratory.
IN_LAB: Final = ("may-1", "mended")
#: A platform's SVNs, or those that a level asks for: of SGX components, of the
#: PCE, of TDX components.
Svns = tuple[list[int], int, list[int]]

_SIZE: Final = 16
_MODULE_SVNS: Final = 2
(_FMSPC,) = (f for f in WORLD.intel.fmspcs if f.fmspc == SAPPHIRE)
(_MODULE,) = WORLD.intel.tdx_modules
#: The highest of 20, and the highest that was there before.
_OF_20, _BEFORE_20, *_ = _FMSPC.levels
_SHORT: Final = re.compile(r"SVN (\d+)[^,]*, (\d+) is needed")


def list_attesters() -> Iterable[tuple[str, Tee]]:
    """
    List who can be judged for which TEE.
    """
    for part in WORLD.platforms:
        yield part.name, Tee.SGX
        if part.name in TDX_SVNS:
            yield part.name, Tee.TDX


def svns_of(name: str, uncertified: Collection[str] = ()) -> Svns:
    """
    Find the SVNs of a platform.  Who is *uncertified* has no certificate yet
    for more than there was before 20.
    """
    if name in uncertified:
        return asked_by(_BEFORE_20)
    (raw,) = WORLD.platform_named(name).raw_tcbs
    tdx = TDX_SVNS.get(name, b"").ljust(_SIZE, b"\0")
    return [*bytes.fromhex(raw.cpusvn)], raw.pcesvn, [*tdx]


def asked_by(level: LevelPart) -> Svns:
    """
    Find what a level asks for.
    """
    sgx, tdx = (
        [*svns, *[0] * (_SIZE - len(svns))]
        for svns in (level.sgx, level.tdx or [])
    )
    return sgx, level.pcesvn, tdx


def _pair(svns: Svns, level: LevelPart, tee: Tee) -> list[tuple[int, int]]:
    """Put what there is beside what is asked for; the module stands apart."""
    (sgx, pce, tdx), (need_sgx, need_pce, need_tdx) = svns, asked_by(level)
    pairs = [*zip(sgx, need_sgx, strict=True), (pce, need_pce)]
    if tee is Tee.TDX:
        pairs += [*zip(tdx, need_tdx, strict=True)][_MODULE_SVNS:]
    return pairs


def is_fine(svns: Svns, tee: Tee, number: int) -> bool:
    """
    Tell whether a platform is up to date under a number.
    """
    statuses = {
        next(
            level.status_in(number)
            for level in _FMSPC.levels_in(number)
            if all(have >= need for have, need in _pair(svns, level, tee))
        )
    }
    if tee is Tee.TDX:
        levels = _MODULE.levels_in(number)
        reached = [lev for lev in levels if svns[2][0] >= lev.isvsvn]
        statuses.add(reached[0].status_in(number))
    return statuses == {TcbStatus.UP_TO_DATE}


def flips(
    before: int,
    after: int,
    names: Collection[str] | None = None,
    uncertified: Collection[str] = (),
) -> set[tuple[str, str]]:
    """
    Find who is fine under one number and not under another, for which TEE.
    """
    return {
        (name, tee.value)
        for name, tee in list_attesters()
        if (names is None or name in names)
        and is_fine(svns_of(name, uncertified), tee, before)
        and not is_fine(svns_of(name, uncertified), tee, after)
    }


def short_of(
    name: str, tee: str, uncertified: Collection[str] = ()
) -> list[tuple[int, int]]:
    """
    List which SVNs a platform has, and needs for 20, where it has too little.
    """
    svns = svns_of(name, uncertified)
    pairs = _pair(svns, _OF_20, Tee(tee))
    if Tee(tee) is Tee.TDX:
        pairs.append((svns[2][0], _MODULE.levels[0].isvsvn))
    return sorted((have, need) for have, need in pairs if have < need)


def named(broken: Collection[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """
    Say who breaks, for which TEE; nobody is named twice.
    """
    found = {(each["name"], each["tee"]) for each in broken}
    assert len(found) == len(broken)
    return found


def told_short(each: Mapping[str, Any]) -> list[tuple[int, int]]:
    """
    Read which SVNs it has and needs, as it is told to people.
    """
    found = [_SHORT.search(text) for text in each["findings"]]
    assert all(found), each["findings"]
    return sorted((int(match[1]), int(match[2])) for match in found if match)
