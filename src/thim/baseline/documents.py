"""
The collateral of one TCB evaluation data number, as a fleet is judged by it.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy
import numpy.typing

from thim.errors import MalformedError
from thim.intel.evaluation import highest_first
from thim.intel.identity import EnclaveIdentity
from thim.intel.quote_collateral import list_modules
from thim.intel.signed import SignedJson
from thim.intel.tcb_info import TcbInfo
from thim.intel.tcb_table import TcbTable


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thim.intel.names import Tee
    from thim.intel.tcb import IsvLevel

Masks: TypeAlias = "numpy.typing.NDArray[numpy.unsignedinteger]"
#: By how many levels there may be for a mask to be so wide.
_WIDTHS: Final = {16: "u2", 32: "u4", 64: "u8"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TcbDocument:
    """
    A TCB info.

    Attributes:
        tee: What it is for.
        fmspc: The platforms that it is for, 6 bytes.
        signed: The bytes that Intel signed of it.
        table: Its levels.
        modules: The levels of the TDX modules by their version, highest first.
        sgx: Of each SGX component the mask for each SVN, as in *table*.
        tdx: The same for TDX; none where it is for SGX.
        pcesvn_masks: Those of *table*.
    """

    tee: Tee
    fmspc: bytes
    signed: bytes = dataclasses.field(repr=False)
    table: TcbTable = dataclasses.field(repr=False)
    modules: Mapping[int, Sequence[IsvLevel]] = dataclasses.field(repr=False)
    sgx: Masks = dataclasses.field(init=False, repr=False)
    tdx: Masks = dataclasses.field(init=False, repr=False)
    pcesvn_masks: Masks = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        width = _width(len(self.table.levels))
        for name in ("sgx", "tdx", "pcesvn_masks"):
            masks = numpy.array(getattr(self.table, name), width)
            object.__setattr__(self, name, masks)

    @classmethod
    def from_json(cls, body: bytes) -> TcbDocument:
        """
        Read *body*, which was verified when it was taken in.

        Raises:
            MalformedError: It is no TCB info, or has more levels than a mask
                has bits.
        """
        signed = SignedJson.from_json(body).signed
        info = TcbInfo.from_json(signed)
        modules = list_modules(info)
        return cls(
            tee=info.tee,
            fmspc=info.fmspc,
            signed=signed,
            table=TcbTable(info.levels),
            modules={version: found[1] for version, found in modules.items()},
        )

    def module_levels(self, version: int) -> Sequence[IsvLevel]:
        """
        Return the levels of the TDX module of *version*, highest first.
        """
        return self.modules.get(version, ())


def _width(levels: int) -> str:
    for most, width in _WIDTHS.items():
        if levels <= most:
            return width
    msg = f"{levels} TCB levels, expected at most {max(_WIDTHS)}"
    raise MalformedError(msg, reason="tcb-levels")


def read_identity(body: bytes) -> tuple[IsvLevel, ...]:
    """
    Read the levels of an enclave identity, highest first, from *body*, which
    was verified when it was taken in.

    Raises:
        MalformedError: It is none.
    """
    signed = SignedJson.from_json(body).signed
    return highest_first(EnclaveIdentity.from_json(signed).levels)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DocumentSet:
    """
    What there is of *number*: TCB infos by TEE and FMSPC, and by TEE the levels
    of the quoting enclave's identity, highest first.
    """

    number: int
    tcb_infos: Mapping[tuple[Tee, bytes], TcbDocument]
    identities: Mapping[Tee, Sequence[IsvLevel]]
