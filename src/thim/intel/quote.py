"""
SGX and TDX quotes of versions 3, 4 and 5, taken apart but not verified.

Intel's "SGX ECDSA QuoteLibReference", appendix A (version 3) and "TDX DCAP
Quoting Library API", appendix 3 (versions 4 and 5).  Every byte is accounted
for: unlike QVL, which passes over what follows the signature data or the last
certification data, nothing may be left.

``quote``, all versions::

    header | body descriptor (5) | body | size | signature data

``signature data``::

    3     signature | attestation key | QE certification data
    4, 5  signature | attestation key | type 6 | size | QE certification data

where the QE certification data are the QE report, its signature, the
authentication data and what names or holds the PCK certificate.

The certification data may hold a PPID: no message and no repr shows it.
"""

from __future__ import annotations

import dataclasses
import enum
import struct

from typing import Final, NamedTuple, NoReturn

from thim.errors import MalformedError
from thim.intel.names import Tee
from thim.intel.pck import PckTcbm
from thim.intel.report_body import (
    ReportBody,
    SgxReportBody,
    Td10Body,
    Td15Body,
    Td15ExBody,
)


#: A genuine quote has 5 kB; authentication data may have 64.
MAX_QUOTE_SIZE: Final = 128 * 1024
#: Of the certification data alone: the chain is some 3.7 kB.
MAX_CERTIFICATION_SIZE: Final = 16 * 1024

_HEADER: Final = 48
#: With a size and a body descriptor behind the header.
_LEAST_SIZE: Final = 58
_DESCRIPTOR: Final = 6
_ECDSA_P256: Final = 2
#: Version, attestation key type, TEE type, QE vendor ID.
_HEADER_FIELDS: Final = struct.Struct("<HHI4x16s").unpack_from
_TYPE_AND_SIZE: Final = struct.Struct("<HI").unpack_from
_QE_VENDOR: Final = bytes.fromhex("939A7233F79C4CA9940A0DB3957F0607")
_V3: Final = 3
_V4: Final = 4
_V5: Final = 5
#: By version and TEE type.
_TEES: Final = {
    (_V3, 0x00): Tee.SGX,
    (_V4, 0x00): Tee.SGX,
    (_V4, 0x81): Tee.TDX,
    (_V5, 0x00): Tee.SGX,
    (_V5, 0x81): Tee.TDX,
}
_QE_REPORT_CERTIFICATION: Final = 6


class _BodyType(NamedTuple):
    tee: Tee
    size: int
    make: type[ReportBody]


#: By the type in a body descriptor.
_BODIES: Final = {
    1: _BodyType(Tee.SGX, 384, SgxReportBody),
    2: _BodyType(Tee.TDX, 584, Td10Body),
    3: _BodyType(Tee.TDX, 648, Td15Body),
    4: _BodyType(Tee.TDX, 885, Td15ExBody),
}
#: The one body that a TEE has in a quote without a descriptor.
_PLAIN: Final = {Tee.SGX: _BODIES[1], Tee.TDX: _BODIES[2]}


class CertificationType(enum.IntEnum):
    """How a quote says which PCK certificate vouches for its QE."""

    PPID_CLEAR = 1
    PPID_RSA2048 = 2
    PPID_RSA3072 = 3
    PCK_CHAIN = 5


_CERTIFICATIONS: Final = {int(kind): kind for kind in CertificationType}
#: Size of the PPID in each form.
_PPIDS: Final = {
    CertificationType.PPID_CLEAR: 16,
    CertificationType.PPID_RSA2048: 256,
    CertificationType.PPID_RSA3072: 384,
}
_UNSUPPORTED: Final = {
    4: "a PCK certificate without its chain",
    6: "a QE report within a QE report",
    7: "a platform manifest",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PckName:
    """
    What names a PCK certificate in a quote that does not hold it.

    Attributes:
        tcbm: The TCB that the certificate is for.
        pce_id: 2 bytes; zero in early quotes, which have none.
    """

    tcbm: PckTcbm
    pce_id: bytes


class Quote:
    """
    A quote, taken apart; its parts are cut out when they are asked for.

    Attributes:
        raw: The whole quote.
        version: 3, 4 or 5.
        tee: What made it.
        body: The report body.
        certification_type: What *certification_data* are.
    """

    __slots__ = (
        "_auth",
        "_certification",
        "_end",
        "_report",
        "_signature",
        "body",
        "certification_type",
        "raw",
        "tee",
        "version",
    )

    def __init__(self, raw: bytes) -> None:
        """
        Take *raw* apart.

        Raises:
            MalformedError: Not a quote, or one of an unknown layout.  The
                reason is ``quote-size``, ``quote-version``,
                ``attestation-key-type``, ``tee-type``, ``qe-vendor``,
                ``body-type``, ``signature-size``, ``authentication-size``,
                ``certification-type`` or ``certification-size``.
        """
        if not _LEAST_SIZE <= len(raw) <= MAX_QUOTE_SIZE:
            expected = f"{_LEAST_SIZE} to {MAX_QUOTE_SIZE}"
            msg = f"quote has {len(raw)} bytes, expected {expected}"
            raise MalformedError(msg, reason="quote-size")
        self.raw = raw
        version, self.tee = _parse_header(raw)
        kind, start = _find_body(raw, version, self.tee)
        end = start + kind.size
        at, stop = end + 4, len(raw)
        if at > stop:
            _refuse_end("body", at, stop, "quote-size")
        size = int.from_bytes(raw[end:at], "little")
        if at + size != stop:
            _refuse_end("signature data", at + size, stop, "signature-size")
        report = (
            at + 128 if version == _V3 else _find_nested(raw, at + 128, stop)
        )
        self._auth, number, start_of_pck = _find_certification(
            raw, report, stop
        )
        self.certification_type = _check_certification(
            number, stop - start_of_pck
        )
        self.version = version
        self.body = kind.make(raw[start:end])
        self._end = end
        self._signature = at
        self._report = report
        self._certification = start_of_pck

    @property
    def qe_id(self) -> bytes:
        """The QE's ID for its platform, 16 bytes, by the QE's own word."""
        return self.raw[28:44]

    @property
    def qe_svn(self) -> int:
        """In version 3 the QE's ISVSVN when it quoted; else 0."""
        return int.from_bytes(self.raw[8:10], "little")

    @property
    def pce_svn(self) -> int:
        """In version 3 the PCE's ISVSVN when it quoted; else 0."""
        return int.from_bytes(self.raw[10:12], "little")

    @property
    def signed(self) -> bytes:
        """
        What the signature covers: header, body descriptor in version 5, body.
        """
        return self.raw[: self._end]

    @property
    def signature(self) -> bytes:
        """R and s by the attestation key, big-endian, 64 bytes."""
        return self.raw[self._signature : self._signature + 64]

    @property
    def attestation_key(self) -> bytes:
        """X and y on P-256, big-endian, 64 bytes."""
        return self.raw[self._signature + 64 : self._signature + 128]

    @property
    def qe_report(self) -> SgxReportBody:
        """The quoting enclave's report body."""
        return SgxReportBody(self.raw[self._report : self._report + 384])

    @property
    def qe_report_signature(self) -> bytes:
        """R and s by the PCK, big-endian, 64 bytes."""
        return self.raw[self._report + 384 : self._report + 448]

    @property
    def authentication_data(self) -> bytes:
        """What is hashed with the attestation key."""
        return self.raw[self._report + 450 : self._auth]

    @property
    def certification_data(self) -> bytes:
        """The PCK chain in PEM, or what names its certificate."""
        return self.raw[self._certification :]

    @property
    def voucher(self) -> bytes:
        """
        All that says whether the attestation key may be trusted, but for the
        PCK certificate: the key, the QE's report, its signature and the
        authentication data.  Many quotes of one machine share it.
        """
        return self.raw[self._signature + 64 : self._auth]

    @property
    def pck_name(self) -> PckName | None:
        """What names the PCK certificate, where the quote does not hold it."""
        size = _PPIDS.get(self.certification_type)
        if size is None:
            return None
        named = self.certification_data[size:]
        return PckName(
            tcbm=PckTcbm.from_bytes(named[:18]),
            pce_id=named[18:] or bytes(2),
        )


def _parse_header(raw: bytes) -> tuple[int, Tee]:
    version, key_type, tee_type, vendor = _HEADER_FIELDS(raw)
    tee = _TEES.get((version, tee_type))
    if tee is None or key_type != _ECDSA_P256 or vendor != _QE_VENDOR:
        raise _strange_header(version, key_type, raw)
    return version, tee


def _strange_header(version: int, key_type: int, raw: bytes) -> MalformedError:
    if not _V3 <= version <= _V5:
        msg = f"version (bytes 0 to 1) is {version}, expected 3, 4 or 5"
        return MalformedError(msg, reason="quote-version")
    if key_type != _ECDSA_P256:
        msg = f"attestation key type (bytes 2 to 3) is {key_type}, expected "
        msg += "2 (ECDSA P-256)"
        return MalformedError(msg, reason="attestation-key-type")
    if (version, int.from_bytes(raw[4:8], "little")) not in _TEES:
        expected = "00000000" if version == _V3 else "00000000 or 81000000"
        found = raw[4:8].hex()
        msg = f"TEE type (bytes 4 to 7) is {found}, expected {expected}"
        return MalformedError(msg, reason="tee-type")
    found, expected = raw[12:28].hex(), _QE_VENDOR.hex()
    msg = f"QE vendor ID (bytes 12 to 27) is {found}, expected {expected}"
    return MalformedError(msg, reason="qe-vendor")


def _find_body(raw: bytes, version: int, tee: Tee) -> tuple[_BodyType, int]:
    if version != _V5:
        kind, start = _PLAIN[tee], _HEADER
    else:
        kind, start = _read_descriptor(raw, tee), _HEADER + _DESCRIPTOR
    return kind, start


def _read_descriptor(raw: bytes, tee: Tee) -> _BodyType:
    number, size = _TYPE_AND_SIZE(raw, _HEADER)
    kind = _BODIES.get(number)
    if kind is None or kind.size != size or kind.tee is not tee:
        msg = (
            f"body descriptor (bytes 48 to 53): type {number} of {size} bytes "
            f"for {tee.value}, expected "
        )
        expected = " or ".join(
            f"{n} of {k.size}" for n, k in _BODIES.items() if k.tee is tee
        )
        raise MalformedError(msg + expected, reason="body-type")
    return kind


def _find_nested(raw: bytes, at: int, stop: int) -> int:
    """Return where the QE report begins in versions 4 and 5."""
    if at + 6 > stop:
        _refuse_end("QE report certification data", at + 6, stop)
    outer, size = _TYPE_AND_SIZE(raw, at)
    if outer != _QE_REPORT_CERTIFICATION:
        msg = f"certification data (byte {at}) are of type {outer}, expected 6"
        raise MalformedError(msg, reason="certification-type")
    if at + 6 + size != stop:
        _refuse_end("QE report certification data", at + 6 + size, stop)
    return at + 6


def _find_certification(
    raw: bytes, report: int, stop: int
) -> tuple[int, int, int]:
    """
    Return where the authentication data end, the type of what follows, and
    where that begins.
    """
    data = report + 450
    if data > stop:
        _refuse_end("QE report and signature", data, stop)
    auth = data + (raw[data - 2] | raw[data - 1] << 8)
    if auth + 6 > stop:
        _refuse_end(
            "authentication data", auth + 6, stop, "authentication-size"
        )
    number, size = _TYPE_AND_SIZE(raw, auth)
    if auth + 6 + size != stop:
        _refuse_end("certification data", auth + 6 + size, stop)
    return auth, number, auth + 6


# Lengths are hostile: they are compared before anything is cut out.
def _refuse_end(
    what: str, end: int, stop: int, reason: str = "certification-size"
) -> NoReturn:
    msg = f"{what}: the end would be at byte {end}, but is at {stop}"
    raise MalformedError(msg, reason=reason)


def _check_certification(number: int, size: int) -> CertificationType:
    kind = _CERTIFICATIONS.get(number)
    if kind is None:
        what = _UNSUPPORTED.get(number, "unknown")
        msg = f"certification data are of type {number}, {what}; expected "
        msg += "1, 2, 3 or 5"
        raise MalformedError(msg, reason="certification-type")
    ppid = _PPIDS.get(kind)
    sizes = {ppid + 18, ppid + 20} if ppid else range(MAX_CERTIFICATION_SIZE)
    if size not in sizes:
        expected = ppid + 20 if ppid else f"less than {MAX_CERTIFICATION_SIZE}"
        msg = f"certification data have {size} bytes, expected {expected}"
        raise MalformedError(msg, reason="certification-size")
    return kind
