"""
Evidence of the machines of a world: quotes that get the status that the
world's levels say.

A platform has one of its raw TCBs.  Its PCK certificate is, as at Intel's
PCS, the one for the highest TCB at or beneath that; its TDX module and its
quoting enclave are what goes with the highest level at or beneath it.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib

from typing import TYPE_CHECKING, Any, Final

from thim.errors import ParameterError
from thim.intel.names import EnclaveKind, Tee
from thim.simulate.certified import (
    PckTcb,
    find_pck_level,
    is_known,
    pad_svns,
    select_tcb,
    to_platform,
)
from thim.simulate.quote import (
    make_sgx_quote_v3,
    make_tdx_quote_v4,
    make_tdx_quote_v5,
)
from thim.simulate.quote_body import (
    QuotingEnclave,
    SgxBody,
    TdBody,
    TdBody15,
)
from thim.simulate.registry import Registry


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from thim.simulate.pki import Intel
    from thim.simulate.platform_part import PlatformPart, TcbPart
    from thim.simulate.world import EnclavePart, ModulePart, World


class QuoteKind(enum.Enum):
    """What kind of quote: whose, and in which version."""

    SGX_V3 = "sgx-v3"
    TDX_V4 = "tdx-v4"
    TDX_V5 = "tdx-v5"

    @property
    def tee(self) -> Tee:
        """
        What is attested.
        """
        return Tee.SGX if self is QuoteKind.SGX_V3 else Tee.TDX


#: What a quote of each kind says, and how it is made.
BODIES: Final[Mapping[QuoteKind, type[SgxBody | TdBody]]] = {
    QuoteKind.SGX_V3: SgxBody,
    QuoteKind.TDX_V4: TdBody,
    QuoteKind.TDX_V5: TdBody15,
}
_MAKERS: Final[Mapping[QuoteKind, Callable[..., bytes]]] = {
    QuoteKind.SGX_V3: make_sgx_quote_v3,
    QuoteKind.TDX_V4: make_tdx_quote_v4,
    QuoteKind.TDX_V5: make_tdx_quote_v5,
}
_ENCLAVES: Final = {Tee.SGX: EnclaveKind.QE, Tee.TDX: EnclaveKind.TD_QE}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuoteOrder:
    """
    A quote to be made.

    Attributes:
        platform: The name of the machine in the world.
        kind: What kind of quote.
        raw_tcb: Which of its raw TCBs it has, from 0.
        fields: What the quote says, by the names of the fields of ``SgxBody``,
            ``TdBody`` or ``TdBody15``; the rest is good and ordinary.
    """

    platform: str
    kind: QuoteKind
    raw_tcb: int = 0
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def make_quote(
    world: World,
    intel: Intel,
    order: QuoteOrder,
    at: datetime,
    registry: Registry | None = None,
) -> bytes:
    """
    Make a quote as the machine would at the instant *at*.

    *registry* knows which machines were registered since the beginning.

    Raises:
        ParameterError: There is no such machine or raw TCB, it cannot quote
            so, or a field cannot be used.
    """
    part = _find_platform(world, order)
    fmspc = world.find_fmspc(part.fmspc)
    if fmspc is None or order.kind.tee not in fmspc.tees:
        expected = f"but the machine has no {order.kind.tee.value}"
        raise ParameterError("kind", order.kind.value, expected)
    raw = part.raw_tcbs[order.raw_tcb]
    tcb = select_tcb(world, part, PckTcb.from_part(raw), at)
    if tcb is None:
        expected = "but that TCB is beneath all levels of the FMSPC"
        raise ParameterError("raw_tcb", str(order.raw_tcb), expected)
    level = find_pck_level(world, fmspc, raw, at)
    keeps_keys = (registry or Registry()).keeps_keys(part)
    return _MAKERS[order.kind](
        intel,
        to_platform(world, part, tcb, cached_keys=keeps_keys),
        _body(world, order, raw, (level and level.tdx) or [], at),
        quoting_enclave=_quoting_enclave(world, order.kind.tee, at),
    )


def _find_platform(world: World, order: QuoteOrder) -> PlatformPart:
    part = world.platform_named(order.platform)
    if not 0 <= order.raw_tcb < len(part.raw_tcbs):
        expected = f"expected 0 to {len(part.raw_tcbs) - 1}"
        raise ParameterError("raw_tcb", str(order.raw_tcb), expected)
    return part


def _body(
    world: World,
    order: QuoteOrder,
    raw: TcbPart,
    tdx: Iterable[int],
    at: datetime,
) -> SgxBody | TdBody:
    body = BODIES[order.kind]
    known: dict[str, object] = {"cpusvn": bytes.fromhex(raw.cpusvn)}
    if order.kind.tee is Tee.TDX:
        svn = _tee_tcb_svn(world, tdx, at)
        known = {"tee_tcb_svn": svn}
        if "tee_tcb_svn_2" in body.layout:
            known["tee_tcb_svn_2"] = svn
    if unknown := sorted(order.fields.keys() - body.layout.keys()):
        expected = f"expected one of {', '.join(body.layout)}"
        raise ParameterError("field", unknown[0], expected)
    return body(**{**known, **order.fields})


def _tee_tcb_svn(world: World, tdx: Iterable[int], at: datetime) -> bytes:
    # The SVN and the version of the TDX module, then other components.
    svns = pad_svns(tdx)
    version = svns[1] or _find_version(world, svns[0], at)
    return bytes([svns[0], version]) + svns[2:]


def _find_version(world: World, svn: int, at: datetime) -> int:
    """Return the lowest version of the module that has a level for *svn*."""
    for module in sorted(world.intel.tdx_modules, key=lambda m: m.id):
        if svn >= min(_isvsvns(world, module, at), default=svn + 1):
            return int(module.id.removeprefix("TDX_"), 16)
    return 0  # TDX 1.0, which has no identity of its own


def _isvsvns(
    world: World, part: ModulePart | EnclavePart, at: datetime
) -> list[int]:
    levels = part.levels
    return [x.isvsvn for x in levels if is_known(world, x, at)]


def _quoting_enclave(world: World, tee: Tee, at: datetime) -> QuotingEnclave:
    kind = _ENCLAVES[tee]
    part = world.find_enclave(kind)
    isvsvns = [] if part is None else _isvsvns(world, part, at)
    if part is None or not isvsvns:
        expected = f"but the world has no {kind.value}"
        raise ParameterError("kind", tee.value, expected)
    ordinary = QuotingEnclave()
    name = f"thim simulate: {kind.value}"
    return QuotingEnclave(
        mrenclave=hashlib.sha256(name.encode()).digest(),
        mrsigner=bytes.fromhex(part.mrsigner),
        isvprodid=part.isvprodid,
        isvsvn=max(isvsvns),
        attributes=_masked(
            part.attributes, part.attributes_mask, ordinary.attributes
        ),
        miscselect=_masked(
            part.miscselect, part.miscselect_mask, ordinary.miscselect
        ),
    )


def _masked(value: str, mask: str, ordinary: bytes) -> bytes:
    """Return *value* where *mask* has ones, and *ordinary* elsewhere."""
    return bytes(
        (v & m) | (o & ~m)
        for v, m, o in zip(
            bytes.fromhex(value), bytes.fromhex(mask), ordinary, strict=True
        )
    )
