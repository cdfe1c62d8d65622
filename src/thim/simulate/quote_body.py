"""
What a quote says: the report of an enclave or of a trust domain.

Every field is given as the bytes that stand in the report, in memory order;
only what Intel calls a number is an int (little-endian in the report).  What
is not given has a value that marks a good, ordinary enclave or domain.
"""

from __future__ import annotations

import dataclasses
import hashlib

from typing import TYPE_CHECKING, ClassVar, Final

from thim.errors import ParameterError
from thim.simulate.bounds import check_number, check_size


if TYPE_CHECKING:
    from collections.abc import Mapping

_RTMRS: Final = 4
_RTMR_SIZE: Final = 48
#: Authentication data: their size has 16 bits.
_MOST: Final = 0xFFFF


def _specimen(name: str, size: int) -> bytes:
    return hashlib.shake_256(f"thim simulate: {name}".encode()).digest(size)


#: INIT and MODE64BIT; x87, SSE and AVX.
_SGX_ATTRIBUTES: Final = bytes.fromhex("0500000000000000E700000000000000")
#: The same with PROVISION_KEY: a quoting enclave.
_QE_ATTRIBUTES: Final = bytes.fromhex("1500000000000000E700000000000000")
#: SEPT_VE_DISABLE.
_TD_ATTRIBUTES: Final = bytes.fromhex("0000001000000000")
_XFAM: Final = bytes.fromhex("E702060000000000")
#: Version 1 of the TDX module, at SVN 5.
_TEE_TCB_SVN: Final = bytes([5, 1]) + b"\5" * 14
_ZERO_48: Final = bytes(48)
_ZERO_64: Final = bytes(64)
_MRENCLAVE: Final = _specimen("mrenclave", 32)
_MRSIGNER: Final = _specimen("mrsigner", 32)
_QE_MRENCLAVE: Final = _specimen("quoting enclave", 32)
#: Intel's, as in the identities of ``thim.simulate.documents``.
_QE_MRSIGNER: Final = bytes.fromhex(
    "8C4F5775D796503E96137F77C68A829A0056AC8DED70140B081B094490C57BFF"
)
_MRSEAM: Final = _specimen("mrseam", 48)
_MRTD: Final = _specimen("mrtd", 48)
_EVENTS: Final = tuple(_specimen(f"rtmr{i}", 48) for i in range(3))
_AUTHENTICATION_DATA: Final = bytes(range(32))


class Body:
    """
    A report: the fields of a dataclass at the offsets of a *layout*.
    """

    __slots__ = ()

    size: ClassVar[int]
    layout: ClassVar[Mapping[str, tuple[int, int]]]

    def __post_init__(self) -> None:
        for name, (_, size) in self.layout.items():
            _check(name, getattr(self, name), size)

    def to_bytes(self) -> bytes:
        """
        Write the report; what is reserved or not given is zero.
        """
        report = bytearray(self.size)
        for name, (offset, size) in self.layout.items():
            octets = _to_octets(getattr(self, name), size)
            report[offset : offset + size] = octets
        return bytes(report)


_Value = int | bytes | tuple[bytes, ...] | None


def _check(name: str, value: _Value, size: int) -> None:
    if isinstance(value, int):
        check_number(name, value, size)
    elif isinstance(value, tuple):
        _check_registers(name, value)
    elif value is not None:
        check_size(name, value, size)


def _check_registers(name: str, values: tuple[bytes, ...]) -> None:
    if len(values) != _RTMRS:
        count = str(len(values))
        raise ParameterError(name, count, f"expected {_RTMRS} of them")
    for i, value in enumerate(values):
        check_size(f"{name}[{i}]", value, _RTMR_SIZE)


def _to_octets(value: _Value, size: int) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(size, "little")
    if isinstance(value, tuple):
        return b"".join(value)
    return value or bytes(size)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SgxBody(Body):
    """
    The report of an SGX enclave, 384 bytes.

    *cpusvn* is the platform's unless given; *isvextprodid*, *configid*,
    *configsvn* and *isvfamilyid* mean nothing unless *attributes* have the
    flag KSS.

    Raises:
        ParameterError: A value has another length or is out of range.
    """

    size: ClassVar[int] = 384
    layout: ClassVar[Mapping[str, tuple[int, int]]] = {
        "cpusvn": (0, 16),
        "miscselect": (16, 4),
        "isvextprodid": (32, 16),
        "attributes": (48, 16),
        "mrenclave": (64, 32),
        "mrsigner": (128, 32),
        "configid": (192, 64),
        "isvprodid": (256, 2),
        "isvsvn": (258, 2),
        "configsvn": (260, 2),
        "isvfamilyid": (304, 16),
        "report_data": (320, 64),
    }

    mrenclave: bytes = _MRENCLAVE
    mrsigner: bytes = _MRSIGNER
    isvprodid: int = 1
    isvsvn: int = 1
    attributes: bytes = _SGX_ATTRIBUTES
    miscselect: bytes = b"\0" * 4
    report_data: bytes = _ZERO_64
    cpusvn: bytes | None = None
    isvextprodid: bytes = b"\0" * 16
    configid: bytes = _ZERO_64
    configsvn: int = 0
    isvfamilyid: bytes = b"\0" * 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TdBody(Body):
    """
    The report of a trust domain in the form of TDX 1.0, 584 bytes.

    *tee_tcb_svn* begins with the SVN and the version of the TDX module;
    *rtmrs* are four.

    Raises:
        ParameterError: A value has another length.
    """

    kind: ClassVar[int] = 2
    size: ClassVar[int] = 584
    layout: ClassVar[Mapping[str, tuple[int, int]]] = {
        "tee_tcb_svn": (0, 16),
        "mrseam": (16, 48),
        "mrsignerseam": (64, 48),
        "seam_attributes": (112, 8),
        "td_attributes": (120, 8),
        "xfam": (128, 8),
        "mrtd": (136, 48),
        "mrconfigid": (184, 48),
        "mrowner": (232, 48),
        "mrownerconfig": (280, 48),
        "rtmrs": (328, 192),
        "report_data": (520, 64),
    }

    mrtd: bytes = _MRTD
    rtmrs: tuple[bytes, ...] = (*_EVENTS, _ZERO_48)
    mrconfigid: bytes = _ZERO_48
    mrowner: bytes = _ZERO_48
    mrownerconfig: bytes = _ZERO_48
    td_attributes: bytes = _TD_ATTRIBUTES
    xfam: bytes = _XFAM
    report_data: bytes = _ZERO_64
    tee_tcb_svn: bytes = _TEE_TCB_SVN
    mrseam: bytes = _MRSEAM
    mrsignerseam: bytes = _ZERO_48
    seam_attributes: bytes = b"\0" * 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TdBody15(TdBody):
    """
    The report of a trust domain in the form of TDX 1.5, 648 bytes.

    *tee_tcb_svn* is of the launch of the domain, *tee_tcb_svn_2* of now;
    *mrservicetd* is of the service domains that are bound to it.

    Raises:
        ParameterError: A value has another length.
    """

    kind: ClassVar[int] = 3
    size: ClassVar[int] = 648
    layout: ClassVar[Mapping[str, tuple[int, int]]] = {
        **TdBody.layout,
        "tee_tcb_svn_2": (584, 16),
        "mrservicetd": (600, 48),
    }

    tee_tcb_svn_2: bytes = _TEE_TCB_SVN
    mrservicetd: bytes = _ZERO_48


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuotingEnclave:
    """
    The enclave that quotes, and what it adds to its key.

    By default it is up to date in the identities that *Intel* issues by
    default, whatever their kind.  *authentication_data* is up to 65535 bytes.

    Raises:
        ParameterError: A value has another length or is out of range.
    """

    mrenclave: bytes = _QE_MRENCLAVE
    mrsigner: bytes = _QE_MRSIGNER
    isvprodid: int = 1
    isvsvn: int = 8
    attributes: bytes = _QE_ATTRIBUTES
    miscselect: bytes = b"\0" * 4
    authentication_data: bytes = _AUTHENTICATION_DATA

    def __post_init__(self) -> None:
        size = len(self.authentication_data)
        if size > _MOST:
            raise ParameterError(
                "authentication_data",
                str(size),
                f"expected at most {_MOST} bytes",
            )
        self.report(cpusvn=b"\0" * 16, report_data=_ZERO_64)

    def report(self, *, cpusvn: bytes, report_data: bytes) -> SgxBody:
        """
        Return the enclave's own report.
        """
        return SgxBody(
            mrenclave=self.mrenclave,
            mrsigner=self.mrsigner,
            isvprodid=self.isvprodid,
            isvsvn=self.isvsvn,
            attributes=self.attributes,
            miscselect=self.miscselect,
            cpusvn=cpusvn,
            report_data=report_data,
        )
