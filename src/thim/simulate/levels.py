"""
From the levels of a world file to those of Intel's documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.intel.names import Tee
from thim.simulate.documents import format_date


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thim.simulate.world import (
        EnclavePart,
        FmspcPart,
        IsvLevelPart,
        LevelPart,
        NumberPart,
        World,
    )

_SVNS: Final = 16
#: What Intel says about some of the components.
_SGX: Final = {
    0: {"category": "BIOS", "type": "Early Microcode Update"},
    1: {"category": "OS/VMM", "type": "SGX Late Microcode Update"},
    2: {"category": "OS/VMM", "type": "TXT SINIT"},
    3: {"category": "BIOS"},
}
_TDX: Final = {
    0: {"category": "OS/VMM", "type": "TDX Module"},
    1: {"category": "OS/VMM", "type": "TDX Module"},
    2: {"category": "OS/VMM", "type": "TDX Late Microcode Update"},
}


def tcb_info_changes(
    world: World, fmspc: FmspcPart, tee: Tee, number: int
) -> dict[str, object]:
    """
    Return the members of a TCB info that *world* decides.
    """
    levels = [
        {"tcb": _tcb(level, tee), **_judgement(level, number)}
        for level in fmspc.levels_in(number)
    ]
    if tee is Tee.SGX:
        return {"tcbLevels": levels}
    modules = [
        {"id": m.id, **_MODULE, "tcbLevels": _isv_levels(m.levels, number)}
        for m in world.intel.tdx_modules
        if m.levels_in(number)
    ]
    return {"tdxModuleIdentities": modules or None, "tcbLevels": levels}


_MODULE: Final = {
    "mrsigner": "00" * 48,
    "attributes": "00" * 8,
    "attributesMask": "FF" * 8,
}


def identity_changes(enclave: EnclavePart, number: int) -> dict[str, object]:
    """
    Return the members of an enclave identity that the world decides.
    """
    return {
        "miscselect": enclave.miscselect,
        "miscselectMask": enclave.miscselect_mask,
        "attributes": enclave.attributes,
        "attributesMask": enclave.attributes_mask,
        "mrsigner": enclave.mrsigner,
        "isvprodid": enclave.isvprodid,
        "tcbLevels": _isv_levels(enclave.levels, number),
    }


def number_list_changes(numbers: Sequence[NumberPart]) -> dict[str, object]:
    """
    Return the members of a list of *numbers*, the newest first.
    """
    newest_first = sorted(numbers, key=lambda n: n.number, reverse=True)
    return {
        "tcbEvalNumbers": [
            {
                "tcbEvaluationDataNumber": n.number,
                "tcbRecoveryEventDate": format_date(n.recovery_event),
                "tcbDate": format_date(n.tcb_day),
            }
            for n in newest_first
        ]
    }


def _tcb(level: LevelPart, tee: Tee) -> dict[str, object]:
    tdx = {"tdxtcbcomponents": _components(level.tdx or [], _TDX)}
    return {
        "sgxtcbcomponents": _components(level.sgx, _SGX),
        "pcesvn": level.pcesvn,
        **(tdx if tee is Tee.TDX else {}),
    }


def _components(
    svns: Sequence[int], words: Mapping[int, Mapping[str, str]]
) -> list[dict[str, object]]:
    padded = [*svns, *[0] * (_SVNS - len(svns))]
    return [{"svn": svn, **words.get(i, {})} for i, svn in enumerate(padded)]


def _isv_levels(
    levels: Sequence[IsvLevelPart], number: int
) -> list[dict[str, object]]:
    return [
        {"tcb": {"isvsvn": level.isvsvn}, **_judgement(level, number)}
        for level in levels
        if level.status_in(number) is not None
    ]


def _judgement(level: LevelPart | IsvLevelPart, number: int) -> dict[str, Any]:
    status = level.status_in(number)
    advisories = level.advisories_in(number)
    return {
        "tcbDate": format_date(level.tcb_date),
        "tcbStatus": status.value if status else None,
        **({"advisoryIDs": advisories} if advisories else {}),
    }
