"""
TCB info: Intel's statement on which TCBs of one FMSPC are good.

Versions 1 (2018, no evaluation number), 2 (SGX, PCS v2 and v3) and 3 (SGX and
TDX, PCS v4).  The rules are those of Intel's QVL (``TcbInfo.cpp``); unlike
QVL we also read version 1, which is kept in the archive but never served.
Members that we do not know are passed over: Intel adds some, and the signature
covers them.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from msgspec import Meta

from thim.errors import MalformedError
from thim.intel.fields import (
    Advisories,
    IsvSvn,
    Number,
    Svn,
    parse_date,
    parse_hex,
)
from thim.intel.levels import IsvLevelJson, check_unique, parse_isv_levels
from thim.intel.names import Tee
from thim.intel.strict_json import convert, parse_strictly
from thim.intel.tcb import (
    PLATFORM_STATUSES,
    IsvLevel,
    Tcb,
    TcbLevel,
    parse_status,
)


if TYPE_CHECKING:
    from datetime import datetime

_V1, _V2, _V3 = 1, 2, 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TdxModule:
    """
    The TDX module that a TCB info speaks of.

    *mrsigner* is 48 bytes, *attributes* and *attributes_mask* are 8.  *id* and
    *levels* are set in ``tdxModuleIdentities`` and empty in ``tdxModule``.
    """

    mrsigner: bytes
    attributes: bytes
    attributes_mask: bytes
    id: str = ""
    levels: tuple[IsvLevel, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfo:
    """
    A TCB info, read but not verified; *levels* in the document's order.

    *next_update*, *pce_id* and *tcb_evaluation_data_number* are absent in
    version 1.
    """

    tee: Tee
    version: int
    fmspc: bytes
    pce_id: bytes | None
    issue_date: datetime
    next_update: datetime | None
    tcb_evaluation_data_number: int | None
    levels: tuple[TcbLevel, ...]
    tdx_module: TdxModule | None = None
    tdx_module_identities: tuple[TdxModule, ...] = ()

    @classmethod
    def from_json(cls, signed: bytes) -> TcbInfo:
        """
        Read *signed*, the exact bytes of the member ``tcbInfo``.

        Raises:
            MalformedError: Not a TCB info, or of an unknown version.
        """
        value = parse_strictly(signed)
        version = convert(value, _Version, "tcbInfo").version
        if version == _V1:
            return _from_v1(convert(value, _V1Json, "tcbInfo"))
        if version == _V2:
            return _from_v2(convert(value, _V2Json, "tcbInfo"))
        if version == _V3:
            return _from_v3(convert(value, _V3Json, "tcbInfo"))

        msg = f"tcbInfo version is {version}, expected 1, 2 or 3"
        raise MalformedError(msg, reason="version")


class _Version(msgspec.Struct):
    version: int


class _V1Level(msgspec.Struct):
    tcb: dict[str, int]
    status: str


class _V1Json(msgspec.Struct, rename="camel"):
    issue_date: str
    fmspc: str
    tcb_levels: list[_V1Level]


class _Level(msgspec.Struct, rename="camel", kw_only=True):
    tcb_date: str
    tcb_status: str
    advisory_ids: Advisories = msgspec.field(
        default_factory=list, name="advisoryIDs"
    )


class _V2Level(_Level, rename="camel", kw_only=True):
    tcb: dict[str, int]


class _Component(msgspec.Struct):
    svn: Svn


_Components = Annotated[list[_Component], Meta(min_length=16, max_length=16)]


class _V3Tcb(msgspec.Struct):
    sgxtcbcomponents: _Components
    pcesvn: IsvSvn
    tdxtcbcomponents: _Components | None = None


class _V3Level(_Level, rename="camel", kw_only=True):
    tcb: _V3Tcb


class _Common(msgspec.Struct, rename="camel"):
    issue_date: str
    next_update: str
    fmspc: str
    pce_id: str
    tcb_type: int
    tcb_evaluation_data_number: Number


class _V2Json(_Common, rename="camel"):
    tcb_levels: list[_V2Level]


class _ModuleJson(msgspec.Struct, rename="camel"):
    mrsigner: str
    attributes: str
    attributes_mask: str


class _ModuleIdentityJson(_ModuleJson, rename="camel"):
    id: str
    tcb_levels: list[IsvLevelJson]


class _V3Json(_Common, rename="camel"):
    id: str
    tcb_levels: list[_V3Level]
    tdx_module: _ModuleJson | None = None
    tdx_module_identities: list[_ModuleIdentityJson] | None = None


def _from_v1(json: _V1Json) -> TcbInfo:
    return TcbInfo(
        tee=Tee.SGX,
        version=_V1,
        fmspc=parse_hex(json.fmspc, 6, "fmspc"),
        pce_id=None,
        issue_date=parse_date(json.issue_date, "issueDate", fraction=True),
        next_update=None,
        tcb_evaluation_data_number=None,
        levels=_checked(
            tuple(
                TcbLevel(
                    tcb=_flat_tcb(level.tcb),
                    status=parse_status(level.status, PLATFORM_STATUSES),
                )
                for level in json.tcb_levels
            )
        ),
    )


def _from_v2(json: _V2Json) -> TcbInfo:
    levels = ((level, _flat_tcb(level.tcb)) for level in json.tcb_levels)
    return _build(
        json,
        tee=Tee.SGX,
        version=_V2,
        levels=tuple(_level(level, tcb) for level, tcb in levels),
    )


def _from_v3(json: _V3Json) -> TcbInfo:
    try:
        tee = Tee(json.id)
    except ValueError:
        msg = f"tcbInfo id is {json.id[:20]!r}, expected SGX or TDX"
        raise MalformedError(msg, reason="id") from None
    _check_tdx_parts(json, tee)
    levels = ((level, _v3_tcb(level.tcb, tee)) for level in json.tcb_levels)
    return _build(
        json,
        tee=tee,
        version=_V3,
        levels=tuple(_level(level, tcb) for level, tcb in levels),
        tdx_module=None
        if json.tdx_module is None
        else _module(json.tdx_module),
        tdx_module_identities=tuple(
            _module_identity(identity)
            for identity in json.tdx_module_identities or ()
        ),
    )


def _build(  # noqa: PLR0913 - one argument for each part that differs
    json: _V2Json | _V3Json,
    *,
    tee: Tee,
    version: int,
    levels: tuple[TcbLevel, ...],
    tdx_module: TdxModule | None = None,
    tdx_module_identities: tuple[TdxModule, ...] = (),
) -> TcbInfo:
    if json.tcb_type != 0:
        msg = f"tcbType is {json.tcb_type}, expected 0"
        raise MalformedError(msg, reason="tcb-type")
    return TcbInfo(
        tee=tee,
        version=version,
        fmspc=parse_hex(json.fmspc, 6, "fmspc"),
        pce_id=parse_hex(json.pce_id, 2, "pceId"),
        issue_date=parse_date(json.issue_date, "issueDate"),
        next_update=parse_date(json.next_update, "nextUpdate"),
        tcb_evaluation_data_number=json.tcb_evaluation_data_number,
        levels=_checked(levels),
        tdx_module=tdx_module,
        tdx_module_identities=tdx_module_identities,
    )


def _checked(levels: tuple[TcbLevel, ...]) -> tuple[TcbLevel, ...]:
    check_unique((level.tcb for level in levels), "SVNs")
    return levels


def _level(level: _V2Level | _V3Level, tcb: Tcb) -> TcbLevel:
    return TcbLevel(
        tcb=tcb,
        status=parse_status(level.tcb_status, PLATFORM_STATUSES),
        tcb_date=parse_date(level.tcb_date, "tcbDate"),
        advisory_ids=tuple(level.advisory_ids),
    )


_FLAT_NAMES: Final = [f"sgxtcbcomp{i:02}svn" for i in range(1, 17)]


def _flat_tcb(tcb: dict[str, int]) -> Tcb:
    try:
        components = [tcb[name] for name in _FLAT_NAMES]
        pcesvn = tcb["pcesvn"]
    except KeyError as e:
        msg = f"tcb has no {e.args[0]}"
        raise MalformedError(msg, reason="fields") from None
    return Tcb(
        sgx=bytes(convert(components, list[Svn], "sgxtcbcomp..svn")),
        pcesvn=convert(pcesvn, IsvSvn, "pcesvn"),
    )


def _v3_tcb(tcb: _V3Tcb, tee: Tee) -> Tcb:
    tdx = tcb.tdxtcbcomponents if tee is Tee.TDX else None
    return Tcb(
        sgx=bytes(component.svn for component in tcb.sgxtcbcomponents),
        pcesvn=tcb.pcesvn,
        tdx=bytes(component.svn for component in tdx or ()),
    )


def _check_tdx_parts(json: _V3Json, tee: Tee) -> None:
    is_tdx = tee is Tee.TDX
    if is_tdx != (json.tdx_module is not None):
        msg = f"tdxModule {'missing' if is_tdx else 'present'} for {tee.value}"
        raise MalformedError(msg, reason="tdx-parts")
    if json.tdx_module_identities == [] or (
        json.tdx_module_identities and not is_tdx
    ):
        msg = f"tdxModuleIdentities empty, or present for {tee.value}"
        raise MalformedError(msg, reason="tdx-parts")
    if is_tdx and any(
        level.tcb.tdxtcbcomponents is None for level in json.tcb_levels
    ):
        msg = "tdxtcbcomponents missing for TDX"
        raise MalformedError(msg, reason="tdx-parts")


def _module(json: _ModuleJson) -> TdxModule:
    return TdxModule(
        mrsigner=parse_hex(json.mrsigner, 48, "tdxModule mrsigner"),
        attributes=parse_hex(json.attributes, 8, "tdxModule attributes"),
        attributes_mask=parse_hex(
            json.attributes_mask, 8, "tdxModule attributesMask"
        ),
    )


def _module_identity(json: _ModuleIdentityJson) -> TdxModule:
    return dataclasses.replace(
        _module(json),
        id=json.id,
        levels=parse_isv_levels(json.tcb_levels),
    )
