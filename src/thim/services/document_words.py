"""
Documents as people read them: what a body and an issuer chain say.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from thim.collateral.records import Kind
from thim.errors import MalformedError
from thim.x509.chain import common_name, parse_pem_chain
from thim.x509.crl import Crl


if TYPE_CHECKING:
    from datetime import datetime

    from thim.collateral.ports import Held

#: Longer texts and lists are cut off: the bytes are there to be taken away.
MOST_TEXT: Final = 256 * 1024
MOST_REVOKED: Final = 100
_LINE: Final = 60
_CRLS: Final = frozenset({Kind.PCK_CRL, Kind.ROOT_CA_CRL, Kind.CRL})
#: With what the names of files end.
_ENDS: Final = {Kind.CERT_CHAIN: "pem", **dict.fromkeys(_CRLS, "crl")}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """
    What a certificate is; *serial* and *sha256* in hexadecimal digits.
    """

    subject: str
    issuer: str
    begin: datetime
    end: datetime
    serial: str
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """
    A certificate that a list revokes, by its *serial* number in hexadecimal
    digits, and since when.
    """

    serial: str
    date: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CrlFacts:
    """
    What a revocation list says: *count* certificates are revoked, of which
    *revoked* are the latest.
    """

    issuer: str
    number: int | None
    count: int
    revoked: tuple[Revocation, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    What a body says: as *text* (JSON), as a *crl*, or as *certificates*.

    *is_cut* tells that there is more of the text.  *trouble* says why it
    cannot be read.
    """

    text: str = ""
    is_cut: bool = False
    crl: CrlFacts | None = None
    certificates: tuple[CertificateFacts, ...] = ()
    trouble: str = ""


def read_body(held: Held) -> Reading:
    """
    Read what is archived, however old its layout is.
    """
    try:
        if held.key.kind in _CRLS:
            return Reading(crl=_read_crl(held.body))
        if held.key.kind is Kind.CERT_CHAIN:
            return Reading(certificates=read_chain(held.body))
        text = indent(json.loads(held.body))
    except (MalformedError, ValueError, RecursionError) as e:
        return Reading(trouble=str(e))
    return Reading(text=text[:MOST_TEXT], is_cut=len(text) > MOST_TEXT)


def indent(value: object, before: str = "") -> str:
    """
    Write JSON for people, each line but the first with *before* before it:
    what is short stands on one line.
    """
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= _LINE or not isinstance(value, dict | list) or not value:
        return line
    inner = f"{before}  "
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(name, ensure_ascii=False)}: {indent(each, inner)}"
            for name, each in value.items()
        ]
    else:
        parts = [indent(each, inner) for each in value]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    joined = f",\n{inner}".join(parts)
    return f"{begin}\n{inner}{joined}\n{before}{end}"


def _read_crl(der: bytes) -> CrlFacts:
    crl = Crl.from_der(der)
    entries = sorted(crl.parsed, key=lambda e: e.revocation_date_utc)
    return CrlFacts(
        issuer=common_name(crl.issuer),
        number=_find_number(crl.parsed),
        count=len(entries),
        revoked=tuple(
            Revocation(
                serial=f"{entry.serial_number:X}",
                date=entry.revocation_date_utc,
            )
            for entry in entries[: -MOST_REVOKED - 1 : -1]
        ),
    )


def _find_number(parsed: x509.CertificateRevocationList) -> int | None:
    try:
        extensions = parsed.extensions
        return extensions.get_extension_for_class(
            x509.CRLNumber
        ).value.crl_number
    except x509.ExtensionNotFound:
        return None


def read_chain(pem: bytes) -> tuple[CertificateFacts, ...]:
    """
    Say what the certificates of a chain are, the signer's first.

    Raises:
        MalformedError: It is no chain.
    """
    return tuple(_read_certificate(each) for each in parse_pem_chain(pem))


def _read_certificate(certificate: x509.Certificate) -> CertificateFacts:
    der = certificate.public_bytes(Encoding.DER)
    return CertificateFacts(
        subject=common_name(certificate.subject),
        issuer=common_name(certificate.issuer),
        begin=certificate.not_valid_before_utc,
        end=certificate.not_valid_after_utc,
        serial=f"{certificate.serial_number:X}",
        sha256=hashlib.sha256(der).hexdigest(),
    )


def name_file(held: Held) -> str:
    """
    Name a file for the bytes of a version: the document, and the first digits
    of its digest.
    """
    key = held.key
    subject = key.subject.replace(":", "-")
    parts = [key.vendor, key.kind.value, subject]
    if held.evaluation_number is not None:
        parts.append(str(held.evaluation_number))
    end = _ENDS.get(key.kind, "json")
    return f"{'-'.join(parts)}-{held.sha256.hex()[:12]}.{end}"
