"""
What Intel calls the components of a TCB, and what updates each.

TCB infos of structure 3 say of some components what they are (``category`` and
``type``).  It is read when somebody asks, not for each quote.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

import msgspec

from thim.intel.steps import Remedy
from thim.intel.strict_json import convert, parse_strictly


if TYPE_CHECKING:
    from collections.abc import Sequence

_SVNS: Final = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """
    A component by what it is called, and what raises its SVN.
    """

    name: str
    remedy: Remedy


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """
    The 16 components of SGX and, where the TCB info is for TDX, those of TDX.
    """

    sgx: tuple[Component, ...]
    tdx: tuple[Component, ...]

    @classmethod
    def from_json(cls, signed: bytes) -> Components:
        """
        Read the names in *signed*, a TCB info that ``TcbInfo`` has read.
        """
        levels = convert(parse_strictly(signed), _Json, "tcbInfo").tcb_levels
        tcb = levels[0].tcb
        # Structure 2 says nothing of them.
        sgx = tcb.sgxtcbcomponents or [_Component()] * _SVNS
        return cls(
            sgx=_components("SGX", sgx),
            tdx=_components("TDX", tcb.tdxtcbcomponents),
        )


class _Json(msgspec.Struct, rename="camel"):
    tcb_levels: list[_Level]


class _Level(msgspec.Struct):
    tcb: _Tcb


class _Tcb(msgspec.Struct):
    sgxtcbcomponents: list[_Component] = msgspec.field(default_factory=list)
    tdxtcbcomponents: list[_Component] = msgspec.field(default_factory=list)


class _Component(msgspec.Struct):
    category: str = ""
    type: str = ""


def _components(tee: str, given: Sequence[_Component]) -> tuple[Component, ...]:
    return tuple(
        Component(name=_name(tee, i, each), remedy=_remedy(each))
        for i, each in enumerate(given, 1)
    )


def _name(tee: str, number: int, component: _Component) -> str:
    what = ", ".join(filter(None, (component.category, component.type)))
    name = f"{tee} component {number}"
    return f"{name} ({what})" if what else name


def _remedy(component: _Component) -> Remedy:
    # The loader of the module comes with it; all else that Intel names, and
    # does not name, comes with the BIOS or as microcode.
    is_module = component.type.startswith(("TDX Module", "SEAMLDR"))
    return Remedy.TDX_MODULE if is_module else Remedy.FIRMWARE
