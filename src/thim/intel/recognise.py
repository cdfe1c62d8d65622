"""
What is in these bytes: signed JSON, certificates, revocation lists.

Files come as vendors' services and people's tools leave them: a PCS body, PEM
blocks, DER, DER as hexadecimal text, or a JSON object whose strings hold such
parts (recorded answers with their issuer chain beside the body, THIM's answer
for AMD).  Recognising proves nothing; every part is verified afterwards.
"""

from __future__ import annotations

import binascii
import contextlib
import dataclasses
import re
import urllib.parse

from typing import TYPE_CHECKING, Final

from cryptography import x509

from thim.errors import MalformedError, ThimError
from thim.intel.signed import SignedJson, SignedKind
from thim.intel.strict_json import members, parse_strictly
from thim.x509.chain import parse_certificate
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from collections.abc import Iterator

#: The largest file that is looked at; a CRL may have a megabyte of DER.
MAX_SIZE: Final = 4 * 1024 * 1024
#: More than any bundle of one vendor's certificates and CRLs holds.
_MAX_BLOCKS: Final = 128
_WHITESPACE: Final = b" \t\r\n"
_HEX: Final = re.compile(rb"[0-9a-fA-F\s]+", re.ASCII)
_PEM: Final = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]+)-----END \1-----"
)
_DER_SEQUENCE: Final = b"\x30"
#: Version 3 to 5 and attestation key type 2, little-endian (SGX quote header),
#: bare or behind Open Enclave's 16-byte report header.
_QUOTE: Final = re.compile(
    rb"(?:\x01\0\0\0\x02\0\0\0.{8})?[\x03-\x05]\0\x02\0", re.DOTALL
)
#: AMD's report: its version in four bytes, and always of one size.
_REPORT: Final = re.compile(rb"[\x01-\x0f]\0\0\0")
_REPORT_SIZE: Final = 1184


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """
    What one file holds, sorted by what it is, nothing of it verified.

    *problems* are the parts that claim to be collateral and are not.
    """

    signed: tuple[SignedJson, ...] = ()
    certificates: tuple[x509.Certificate, ...] = ()
    crls: tuple[Crl, ...] = ()
    problems: tuple[ThimError, ...] = ()


def recognise(raw: bytes) -> Recognised:
    """
    Sort out what *raw* holds.

    Raises:
        MalformedError: Nothing in it is collateral; the reason says what it
            is instead, where that can be told.
    """
    if len(raw) > MAX_SIZE:
        msg = f"{len(raw)} bytes, expected at most {MAX_SIZE}"
        raise MalformedError(msg, reason="too-large")
    return _gather(_parts(raw, nested=False))


_Part = SignedJson | x509.Certificate | Crl | ThimError


def _gather(parts: Iterator[_Part]) -> Recognised:
    found = list(parts)
    return Recognised(
        signed=tuple(p for p in found if isinstance(p, SignedJson)),
        certificates=tuple(p for p in found if isinstance(p, x509.Certificate)),
        crls=tuple(p for p in found if isinstance(p, Crl)),
        problems=tuple(p for p in found if isinstance(p, ThimError)),
    )


def _parts(raw: bytes, *, nested: bool) -> Iterator[_Part]:
    text = raw.strip(_WHITESPACE)  # DER may end in a byte that looks like one
    if _QUOTE.match(raw) or (len(raw) == _REPORT_SIZE and _REPORT.match(raw)):
        msg = "a quote or report: evidence, not collateral"
        raise MalformedError(msg, reason="evidence")
    if text[:1] in {b"{", b"["}:
        yield from _json_parts(text, nested=nested)
    elif b"-----BEGIN" in raw:
        yield from _pem_parts(raw)
    elif _HEX.fullmatch(text):
        yield _from_der(_unhex(text))
    elif raw[:1] == _DER_SEQUENCE:
        yield _from_der(raw)
    else:
        msg = "neither PCS JSON nor PEM, DER or hexadecimal text"
        raise MalformedError(msg, reason="unrecognised")


def _json_parts(raw: bytes, *, nested: bool) -> Iterator[_Part]:
    found = _as_object(raw)
    if found.keys() & {kind.value for kind in SignedKind}:
        yield SignedJson.from_json(raw)
    elif nested or not (inner := _strings(found)):
        msg = f"JSON with the members {sorted(found)[:6]}: not signed by Intel"
        raise MalformedError(msg, reason="unsigned")
    else:
        for text in inner:
            yield from _nested_parts(text)


def _as_object(raw: bytes) -> dict[str, bytes]:
    if isinstance(parse_strictly(raw), list):
        msg = "a JSON list: nothing in it is signed by Intel"
        raise MalformedError(msg, reason="unsigned")
    return members(raw)


def _strings(found: dict[str, bytes]) -> list[bytes]:
    values = (parse_strictly(raw) for raw in found.values() if raw[:1] == b'"')
    texts = (text for text in values if isinstance(text, str))
    return [t.encode() for t in texts if t[:1] == "{" or "-----BEGIN" in t]


def _nested_parts(text: bytes) -> Iterator[_Part]:
    if b"%20CERTIFICATE" in text:
        text = urllib.parse.unquote_to_bytes(text)
    try:
        yield from _parts(text, nested=True)
    except ThimError as e:
        yield e


def _pem_parts(raw: bytes) -> Iterator[_Part]:
    blocks = _PEM.findall(raw)
    if len(blocks) != raw.count(b"-----BEGIN"):
        msg = "PEM with a block that is cut off or not base64"
        yield MalformedError(msg, reason="pem")
    if len(blocks) > _MAX_BLOCKS:
        msg = f"{len(blocks)} PEM blocks, expected at most {_MAX_BLOCKS}"
        raise MalformedError(msg, reason="too-large")
    for label, text in blocks:
        yield _from_pem(label, text)


def _from_pem(label: bytes, text: bytes) -> _Part:
    if label not in {b"CERTIFICATE", b"X509 CRL"}:
        msg = f"a PEM block of kind {label.decode('ascii')}"
        return MalformedError(msg, reason="unrecognised")
    try:
        return _from_der(binascii.a2b_base64(text))
    except binascii.Error as e:
        return MalformedError(f"PEM is not base64: {e}", reason="pem")


def _unhex(raw: bytes) -> bytes:
    digits = b"".join(raw.split())
    if len(digits) % 2:
        msg = f"{len(digits)} hexadecimal digits, an odd number"
        raise MalformedError(msg, reason="hex")
    return bytes.fromhex(digits.decode("ascii"))


def _from_der(der: bytes) -> _Part:
    with contextlib.suppress(MalformedError):
        return parse_certificate(der)
    try:
        return Crl.from_der(der)
    except MalformedError as e:
        return MalformedError(
            f"DER is neither a certificate nor a CRL: {e}", reason=e.reason
        )
