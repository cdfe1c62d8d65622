"""
The HCL report of Azure's confidential VMs, read from the vTPM's NV index
0x01400001.

A paravisor (host compatibility layer) wraps a hardware report and puts the
digest of its own claims, which name the vTPM's keys, into the report data.
Microsoft, "Guest attestation design for confidential VMs", 2025-02-06, which
is not exact about sizes: the rules here are those that all recorded reports
keep.  The header is not signed; only what the hardware report binds counts.

A TDREPORT is only MACed by its own CPU: it proves nothing without the TD quote
that carries the same report data.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib

from typing import Final, TypeVar

from thim.errors import MalformedError, UntrustedError, shorten


MAGIC: Final = b"HCLA"
_VERSIONS: Final = (1, 2)
_REQUEST_TYPE: Final = 2
_RUNTIME_VERSION: Final = 1

_HARDWARE: Final = 32
_HARDWARE_SIZE: Final = 1184
_RUNTIME: Final = _HARDWARE + _HARDWARE_SIZE
_RUNTIME_HEADER_SIZE: Final = 20
_CLAIMS: Final = _RUNTIME + _RUNTIME_HEADER_SIZE
_REPORT_DATA_SIZE: Final = 64


class HardwareReport(enum.Enum):
    """Which hardware report an HCL report wraps."""

    SNP = 2
    TDX = 4


class HashType(enum.Enum):
    """Which digest of the claims is in the report data."""

    SHA256 = 1
    SHA384 = 2
    SHA512 = 3


#: Length of the hardware report, and where its report data begins.
_LAYOUTS: Final = {
    HardwareReport.SNP: (1184, 0x050),
    HardwareReport.TDX: (1024, 128),
}
_KindT = TypeVar("_KindT", HardwareReport, HashType)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HclReport:
    """
    An HCL report whose claims are bound to its hardware report.

    The hardware report itself is neither read nor verified.

    Attributes:
        version: 1 or 2, without a known difference.
        hardware: What kind of report the hardware gave.
        hash_type: Which digest binds the claims.
        hardware_report: 1184 bytes for SNP, a TDREPORT of 1024 bytes for TDX.
        runtime_claims: JSON, exactly the bytes that are bound.
    """

    version: int
    hardware: HardwareReport
    hash_type: HashType
    hardware_report: bytes = dataclasses.field(repr=False)
    runtime_claims: bytes = dataclasses.field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> HclReport:
        """
        Read the HCL report *raw*.

        Raises:
            MalformedError: ``hcl-layout`` where lengths do not fit or padding
                is not zero, ``hcl-header`` where magic, a version or a type is
                not known.
            UntrustedError: ``runtime-data-mismatch``: the report data is not
                the digest of the claims, followed by zeros.
        """
        claims = _read_claims(raw)
        version = _check_header(raw)
        hardware = _parse_type(HardwareReport, raw, _RUNTIME + 8)
        size, _ = _LAYOUTS[hardware]
        _check_zeros(raw, _HARDWARE + size, _RUNTIME)
        report = cls(
            version=version,
            hardware=hardware,
            hash_type=_parse_type(HashType, raw, _RUNTIME + 12),
            hardware_report=raw[_HARDWARE : _HARDWARE + size],
            runtime_claims=claims,
        )
        _verify_binding(report)
        return report

    @property
    def report_data(self) -> bytes:
        """The 64 bytes of report data in the hardware report."""
        _, at = _LAYOUTS[self.hardware]
        return self.hardware_report[at : at + _REPORT_DATA_SIZE]


def _number(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 4], "little")


def _read_claims(raw: bytes) -> bytes:
    if len(raw) < _CLAIMS:
        msg = f"HCL report is {len(raw)} bytes, expected at least {_CLAIMS}"
        raise MalformedError(msg, reason="hcl-layout")
    data_size, size = _number(raw, _RUNTIME), _number(raw, _RUNTIME + 16)
    if data_size != _RUNTIME_HEADER_SIZE + size:
        msg = (
            f"runtime data is {data_size} bytes, expected "
            f"{_RUNTIME_HEADER_SIZE} and the {size} of the claims"
        )
        raise MalformedError(msg, reason="hcl-layout")
    end = _CLAIMS + size
    if end > len(raw):
        msg = f"claims end at {end}, expected within {len(raw)} bytes"
        raise MalformedError(msg, reason="hcl-layout")
    _check_zeros(raw, end, len(raw))
    return raw[_CLAIMS:end]


def _check_zeros(raw: bytes, start: int, end: int) -> None:
    if any(raw[start:end]):
        msg = (
            f"padding from {start} to {end} is "
            f"{shorten(raw[start:end].hex())}, expected zeros"
        )
        raise MalformedError(msg, reason="hcl-layout")


def _check_header(raw: bytes) -> int:
    if raw[:4] != MAGIC:
        msg = f"magic is {raw[:4].hex()}, expected {MAGIC.hex()} ('HCLA')"
        raise MalformedError(msg, reason="hcl-header")
    version = _number(raw, 4)
    _check_known("version", version, _VERSIONS)
    _check_known("request type", _number(raw, 12), (_REQUEST_TYPE,))
    _check_known(
        "version of the runtime data",
        _number(raw, _RUNTIME + 4),
        (_RUNTIME_VERSION,),
    )
    return version


def _check_known(name: str, number: int, known: tuple[int, ...]) -> None:
    if number not in known:
        expected = " or ".join(map(str, known))
        msg = f"{name} is {number}, expected {expected}"
        raise MalformedError(msg, reason="hcl-header")


def _parse_type(kind: type[_KindT], raw: bytes, at: int) -> _KindT:
    known = tuple(each.value for each in kind)
    _check_known(kind.__name__, _number(raw, at), known)
    return kind(_number(raw, at))


_HASHES: Final = {
    HashType.SHA256: hashlib.sha256,
    HashType.SHA384: hashlib.sha384,
    HashType.SHA512: hashlib.sha512,
}


def _verify_binding(report: HclReport) -> None:
    digest = _HASHES[report.hash_type](report.runtime_claims).digest()
    if report.report_data != digest.ljust(_REPORT_DATA_SIZE, b"\0"):
        msg = (
            f"report data is {report.report_data.hex()}, expected "
            f"{digest.hex()}, the {report.hash_type.name} of the claims, "
            f"and zeros"
        )
        raise UntrustedError(msg, reason="runtime-data-mismatch")
