"""
The envelopes that Open Enclave puts around a quote.

A *report* (``oe_report_header_t``, version 1) is 16 bytes and a quote;
*evidence* (``oe_attestation_header_t``, version 3) is 28 bytes that name a
format, and data in it.  Open Enclave SDK, ``common/sgx/quote.h`` and
``common/attest_plugin.h``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import uuid

from typing import Final

from thim.errors import MalformedError, UntrustedError
from thim.intel.names import Tee
from thim.intel.quote import Quote


REPORT_VERSION: Final = 1
EVIDENCE_VERSION: Final = 3
_REPORT_HEADER: Final = 16
_EVIDENCE_HEADER: Final = 28
_REMOTE: Final = 2
_DIGEST: Final = 32

SGX_ECDSA: Final = uuid.UUID("a3a21e87-1b4d-4014-b70a-a125d2fbcd8c")
LEGACY_REPORT: Final = uuid.UUID("c8303454-d923-4c2c-a691-df7def460a76")
RAW_QUOTE: Final = uuid.UUID("1923d91e-12d2-4c72-b220-25cd8dace871")
TDX_ECDSA: Final = uuid.UUID("8ba70286-c1cf-11ed-afa1-0242ac120002")
_LOCAL: Final = uuid.UUID("09268c33-6e0b-45e5-8a27-15644d0ef89a")
_FORMATS: Final = frozenset({SGX_ECDSA, LEGACY_REPORT, RAW_QUOTE, TDX_ECDSA})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """
    A quote, and what came around it.

    *custom_claims* are bound to the quote by its report data; None in formats
    that have none.
    """

    quote: Quote
    custom_claims: bytes | None = None


def is_oe_report(raw: bytes) -> bool:
    """
    Tell whether *raw* begins as a report of just its length does.
    """
    size = (len(raw) - _REPORT_HEADER).to_bytes(8, "little", signed=True)
    return raw.startswith(b"\1\0\0\0\2\0\0\0" + size)


def open_report(raw: bytes) -> Envelope:
    """
    Open a report.

    Raises:
        MalformedError: ``oe-header`` where it is none or not for somebody
            remote, ``oe-size`` where lengths do not fit, ``oe-format`` where
            the quote is not one of SGX; or as ``Quote``.
    """
    _need(raw, _REPORT_HEADER)
    version, kind = _number(raw, 0, 4), _number(raw, 4, 4)
    if version != REPORT_VERSION:
        _refuse(f"version (bytes 0 to 3) is {version}, expected 1")
    if kind != _REMOTE:
        _refuse(f"report type (bytes 4 to 7) is {kind}, expected 2 (remote)")
    _check_size(raw, _number(raw, 8, 8), _REPORT_HEADER)
    return Envelope(quote=_read(raw[_REPORT_HEADER:], Tee.SGX))


def open_evidence(raw: bytes) -> Envelope:
    """
    Open evidence.

    Raises:
        MalformedError: As `open_report`; ``oe-format`` where the format is
            unknown, cannot be verified by anybody remote or is for another
            TEE.
        UntrustedError: ``custom-claims``: the report data are not the digest
            of the custom claims.
    """
    _need(raw, _EVIDENCE_HEADER)
    version = _number(raw, 0, 4)
    if version != EVIDENCE_VERSION:
        _refuse(f"version (bytes 0 to 3) is {version}, expected 3")
    form = uuid.UUID(bytes=raw[4:20])
    if form not in _FORMATS:
        what = "local evidence" if form == _LOCAL else "unknown"
        msg = f"format (bytes 4 to 19) is {form}: {what}"
        raise MalformedError(msg, reason="oe-format")
    _check_size(raw, _number(raw, 20, 8), _EVIDENCE_HEADER)
    data = raw[_EVIDENCE_HEADER:]
    if form == LEGACY_REPORT:
        return open_report(data)
    if form == SGX_ECDSA:
        return _open_sgx(data)
    if form == TDX_ECDSA:
        return Envelope(quote=_read(data, Tee.TDX))
    return Envelope(quote=Quote(data))


def _read(data: bytes, tee: Tee) -> Quote:
    quote = Quote(data)
    if quote.tee is not tee:
        msg = f"a quote of {quote.tee.value} in a format for {tee.value}"
        raise MalformedError(msg, reason="oe-format")
    return quote


def _open_sgx(data: bytes) -> Envelope:
    # Only the quote's own length says where the claims begin.
    end = 436 + _number(data, 432, 4)
    quote, claims = _read(data[:end], Tee.SGX), data[end:]
    digest = hashlib.sha256(claims).digest()
    if quote.body.report_data[:_DIGEST] != digest:
        msg = (
            f"report data begin with {quote.body.report_data[:_DIGEST].hex()},"
            f" expected {digest.hex()}, the SHA-256 of the custom claims"
        )
        raise UntrustedError(msg, reason="custom-claims")
    return Envelope(quote=quote, custom_claims=claims)


def _number(raw: bytes, at: int, size: int) -> int:
    return int.from_bytes(raw[at : at + size], "little")


def _need(raw: bytes, size: int) -> None:
    if len(raw) < size:
        msg = f"{len(raw)} bytes, expected at least {size}"
        raise MalformedError(msg, reason="oe-size")


def _check_size(raw: bytes, size: int, header: int) -> None:
    if size != len(raw) - header:
        behind = len(raw) - header
        msg = f"size is {size}, but {behind} bytes follow the header"
        raise MalformedError(msg, reason="oe-size")


def _refuse(message: str) -> None:
    raise MalformedError(message, reason="oe-header")
