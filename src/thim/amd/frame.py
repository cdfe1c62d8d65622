"""
The frame of what AMD signs: certificates and revocation lists.

The signature covers the TBS, not what stands around it: the outer lengths, the
algorithm and the unused bits of the signature.  All of that is compared byte
by byte with what AMD writes.  Otherwise a changed bit there would leave a
document valid, and the archive would hold two of one.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import re

from typing import Final, NoReturn, TypeGuard

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificatePublicKeyTypes,
)

import thim.x509.chain

from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import common_name
from thim.x509.der import SEQUENCE, read_value


#: No certificate or list of AMD's comes near it; refused before it is parsed.
MAX_SIZE: Final = 16 * 1024

_RSASSA_PSS: Final = bytes.fromhex("06092A864886F70D01010A")
_SHA384: Final = bytes.fromhex("300D06096086480165030402020500")
_MGF1: Final = bytes.fromhex("301A06092A864886F70D010108") + _SHA384
#: RSASSA-PSS-params (RFC 4055, 3.1): SHA-384, MGF1 with SHA-384, salt 48.
_PARAMS: Final = (
    b"\xa0\x0f" + _SHA384 + b"\xa1\x1c" + _MGF1 + b"\xa2\x03\x02\x01\x30"
)
_TRAILER: Final = bytes.fromhex("A303020101")
#: The two AlgorithmIdentifiers that AMD writes: 67 bytes, or 72 with the
#: trailerField, although that has its default value.
_ALGORITHMS: Final = (
    b"\x30\x41" + _RSASSA_PSS + b"\x30\x34" + _PARAMS,
    b"\x30\x46" + _RSASSA_PSS + b"\x30\x39" + _PARAMS + _TRAILER,
)
#: The same for verification: never what a certificate says of itself.
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA384()), 48)

#: A BIT STRING of 512 bytes without unused bits.
_SIGNATURE_HEAD: Final = bytes.fromhex("0382020100")
_SIGNATURE_SIZE: Final = 512
_KEY_BITS: Final = 4096
_EXPONENT: Final = 65537

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_PEM_BLOCK: Final = re.compile(
    _BEGIN + rb"\r?\n((?:[A-Za-z0-9+/=]+\r?\n)+)" + _END + rb"(?:\r?\n)*"
)

#: What cryptography raises only when a part is asked for.
_UNREADABLE: Final = (
    MalformedError,
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.UnsupportedGeneralNameType,
)


class Document(enum.Enum):
    """What is signed.  A reason begins with the value."""

    CERTIFICATE = "certificate"
    CRL = "crl"


#: How a TBS begins: X.509 v3, CRL v2.
_VERSIONS: Final = {
    Document.CERTIFICATE: bytes.fromhex("A003020102"),
    Document.CRL: bytes.fromhex("020101"),
}
#: What stands between version and algorithm: the serial number, nothing.
_SKIPPED: Final = {Document.CERTIFICATE: 1, Document.CRL: 0}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """
    A signed document, taken apart but not verified.

    Attributes:
        document: What it is.
        signed: The TBS in DER, as received.
        issuer: Who claims to have signed it: a Name in DER, as received.
        signature: 512 bytes.
    """

    document: Document
    signed: bytes
    issuer: bytes
    signature: bytes

    @classmethod
    def from_der(cls, der: bytes, document: Document) -> Frame:
        """
        Take *der* apart, one *document* and nothing else.

        Raises:
            MalformedError: With the reason ``…-malformed``, or
                ``…-algorithm`` where the algorithm is neither of AMD's two
                encodings or another one inside than outside.
        """
        if len(der) > MAX_SIZE:
            _refuse(document, f"{len(der)} bytes, expected at most {MAX_SIZE}")
        try:
            signed, algorithm, signature = _read_sequence(der)
            version, *rest = _read_sequence(signed)
            inner, issuer, *_ = rest[_SKIPPED[document] :]
        except (MalformedError, ValueError) as e:
            _refuse(document, f"not as X.509 lays it out ({e})", e)
        if version != _VERSIONS[document]:
            _refuse(document, "of another version of X.509")
        _check_algorithm(document, algorithm, inner)
        return cls(
            document=document,
            signed=signed,
            issuer=issuer,
            signature=_read_signature(document, signature),
        )

    def verify(self, issuer: x509.Certificate) -> None:
        """
        Verify that *issuer* issued and signed this.

        Raises:
            UntrustedError: With the reason ``…-issuer`` (the names are
                compared as bytes) or ``…-signature``.
        """
        what, name = self.document.value, common_name(issuer.subject)
        if self.issuer != issuer.subject.public_bytes():
            msg = f"{what}: not issued by {name!r}"
            raise UntrustedError(msg, reason=f"{what}-issuer")
        if not self._is_signed_by(issuer.public_key()):
            msg = f"{what}: the signature is not that of {name!r}"
            raise UntrustedError(msg, reason=f"{what}-signature")

    def _is_signed_by(self, key: CertificatePublicKeyTypes) -> bool:
        if not is_ca_key(key):
            return False
        try:
            key.verify(self.signature, self.signed, _PSS, hashes.SHA384())
        except InvalidSignature:
            return False
        return True


def _read_sequence(der: bytes) -> list[bytes]:
    tag, content, end = read_value(der)
    if tag != SEQUENCE or end != len(der):
        msg = "not one SEQUENCE"
        raise MalformedError(msg)
    parts, at = [], 0
    while at < len(content):
        start = at
        *_, at = read_value(content, start)
        parts.append(content[start:at])
    return parts


def _check_algorithm(document: Document, outer: bytes, inner: bytes) -> None:
    if outer not in _ALGORITHMS or outer != inner:
        msg = f"{document.value}: not signed in the way that AMD signs"
        raise MalformedError(msg, reason=f"{document.value}-algorithm")


def _read_signature(document: Document, der: bytes) -> bytes:
    head, signature = der[: len(_SIGNATURE_HEAD)], der[len(_SIGNATURE_HEAD) :]
    if head != _SIGNATURE_HEAD or len(signature) != _SIGNATURE_SIZE:
        _refuse(document, "the signature is not 512 whole bytes")
    return signature


def is_ca_key(key: object) -> TypeGuard[rsa.RSAPublicKey]:
    """
    Tell whether *key* is such as AMD's CAs have: RSA 4096, exponent 65537.
    """
    return (
        isinstance(key, rsa.RSAPublicKey)
        and key.key_size == _KEY_BITS
        and key.public_numbers().e == _EXPONENT
    )


def parse_certificate(der: bytes) -> x509.Certificate:
    """
    Read one certificate of AMD's in DER, every part of it: cryptography puts
    off most of the work until a part is asked for.  The serial number is not
    read, since that of a leaf is 0 (see ``thim.x509.chain``).

    Raises:
        MalformedError: With the reason ``certificate-malformed``,
            ``certificate-algorithm`` or ``extension-duplicate``.
    """
    Frame.from_der(der, Document.CERTIFICATE)
    try:
        certificate = thim.x509.chain.parse_certificate(der)
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        _ = certificate.public_key(), certificate.extensions
    except x509.DuplicateExtension as e:
        msg = f"certificate: {e}"
        raise MalformedError(msg, reason="extension-duplicate") from e
    except _UNREADABLE as e:
        _refuse(Document.CERTIFICATE, str(e), e)
    return certificate


def read_pem(pem: bytes, count: int) -> list[bytes]:
    """
    Return the DER of the *count* certificates in *pem*.

    Between the blocks and behind them there is nothing but ends of lines.

    Raises:
        MalformedError: More, fewer, something else, or too large, with the
            reason ``certificate-malformed``.
    """
    if len(pem) > MAX_SIZE:
        msg = f"PEM of {len(pem)} bytes, expected at most {MAX_SIZE}"
        _refuse(Document.CERTIFICATE, msg)
    blocks = _PEM_BLOCK.findall(pem)
    if len(blocks) != count or _PEM_BLOCK.sub(b"", pem):
        msg = f"PEM with other things than {count} blocks"
        _refuse(Document.CERTIFICATE, msg)
    try:
        return [
            base64.b64decode(b"".join(block.split()), validate=True)
            for block in blocks
        ]
    except ValueError as e:
        _refuse(Document.CERTIFICATE, f"PEM: {e}", e)


def _refuse(
    document: Document, message: str, cause: Exception | None = None
) -> NoReturn:
    msg = f"{document.value}: {message}"
    raise MalformedError(msg, reason=f"{document.value}-malformed") from cause
