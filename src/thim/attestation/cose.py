"""
COSE_Sign1 messages (RFC 9052, 4.2) with a certificate chain (RFC 9360).

What CBOR leaves open is refused: duplicate keys, indefinite lengths, other
encodings of a value than the shortest, bytes after the end, and tags, which
would make a decoder build whatever they name: a pattern, a huge number, a
cycle.  Only the payload that a verified signature covers may be believed.
"""

from __future__ import annotations

import dataclasses
import hashlib

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import cbor2

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    encode_dss_signature,
)

from thim.errors import MalformedError, UntrustedError, shorten
from thim.x509.chain import parse_certificate


MAX_SIZE: Final = 64 * 1024
MOST_CERTIFICATES: Final = 6
_MAX_DEPTH: Final = 8
_SIGN1: Final = 18
_PARTS: Final = 4

#: Labels of header parameters (RFC 9052, 3.1; RFC 9360, 2).
ALG: Final = 1
CRIT: Final = 2
CONTENT_TYPE: Final = 3
X5CHAIN: Final = 33
X5T: Final = 34
_DIGESTS: Final[Mapping[object, Callable[[bytes], Any]]] = {
    -16: hashlib.sha256,
    -43: hashlib.sha384,
    -44: hashlib.sha512,
}
#: RFC 9053, 2.1, with the curves that it names; RFC 8230, 2.
_ECDSA: Final[Mapping[object, tuple[str, hashes.HashAlgorithm]]] = {
    -7: ("secp256r1", hashes.SHA256()),
    -35: ("secp384r1", hashes.SHA384()),
    -36: ("secp521r1", hashes.SHA512()),
}
_PSS: Final[Mapping[object, hashes.HashAlgorithm]] = {
    -37: hashes.SHA256(),
    -38: hashes.SHA384(),
    -39: hashes.SHA512(),
}
_RSA_BITS: Final = range(2048, 8193)
#: A key with a longer exponent takes a hundred times as long to verify with.
_MOST_EXPONENT: Final = 2**32

Header = Mapping[int | str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sign1:
    """
    A message, read but not verified.

    Attributes:
        protected: The header that the signature covers, by label.
        raw_protected: The same, as received.
        payload: What is said.
        signature: The signature.
        chain: The certificates in the protected header, the signer's first.
    """

    protected: Header
    raw_protected: bytes = dataclasses.field(repr=False)
    payload: bytes = dataclasses.field(repr=False)
    signature: bytes = dataclasses.field(repr=False)
    chain: tuple[x509.Certificate, ...] = dataclasses.field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Sign1:
        """
        Read the message *raw*, tagged as COSE_Sign1.

        Raises:
            MalformedError: ``cose-malformed`` where it is not that,
                ``cose-header`` where a header parameter is missing, not as
                it should be, or critical and not known.
        """
        message = _decode(raw)
        if not isinstance(message, cbor2.CBORTag) or message.tag != _SIGN1:
            _refuse("malformed", "no message with the tag 18 (COSE_Sign1)")
        match message.value:
            case [
                bytes(protected),
                unprotected,
                bytes(payload),
                bytes(s),
            ]:
                header = _read_header(_decode(protected))
            case _:
                _refuse("malformed", "expected header, header, payload, bytes")
        if header.keys() & _read_header(unprotected).keys():
            _refuse("header", "a label is in both headers")
        _check_critical(header)
        return cls(
            protected=header,
            raw_protected=protected,
            payload=payload,
            signature=s,
            chain=_read_chain(header),
        )

    def text(self, label: int | str) -> str:
        """
        Return a protected header parameter that is text.

        Raises:
            MalformedError: It is missing, or no text: ``cose-header``.
        """
        value = self.protected.get(label)
        if not isinstance(value, str):
            _refuse("header", f"{label!r} is {shorten(value)}, expected text")
        return value

    def verify(self) -> None:
        """
        Verify that the first certificate's key signed this, and that it is
        the certificate whose digest the header gives, if it gives one.

        Raises:
            UntrustedError: The signature does not hold: ``cose-signature``.
            MalformedError: The algorithm is not known, or not one for that
                key: ``cose-algorithm``.
        """
        signed = cbor2.dumps(
            ["Signature1", self.raw_protected, b"", self.payload]
        )
        key, algorithm = self.chain[0].public_key(), self.protected.get(ALG)
        try:
            if isinstance(key, rsa.RSAPublicKey):
                self._verify_pss(key, algorithm, signed)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                self._verify_ecdsa(key, algorithm, signed)
            else:
                _refuse_algorithm(algorithm, type(key).__name__)
        except InvalidSignature:
            msg = "COSE: the signature is not that of the first certificate"
            raise UntrustedError(msg, reason="cose-signature") from None

    def _verify_pss(
        self, key: rsa.RSAPublicKey, algorithm: object, signed: bytes
    ) -> None:
        digest = _PSS.get(algorithm)
        if digest is None or not is_usual_rsa(key):
            _refuse_algorithm(algorithm, f"RSA {key.key_size}")
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        key.verify(self.signature, signed, pss, digest)

    def _verify_ecdsa(
        self, key: ec.EllipticCurvePublicKey, algorithm: object, signed: bytes
    ) -> None:
        curve, digest = _ECDSA.get(algorithm, ("", None))
        if digest is None or key.curve.name != curve:
            _refuse_algorithm(algorithm, key.curve.name)
        size = (key.key_size + 7) // 8
        if len(self.signature) != 2 * size:
            raise InvalidSignature
        r, s = (
            int.from_bytes(half, "big")
            for half in (self.signature[:size], self.signature[size:])
        )
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))


def is_usual_rsa(key: rsa.RSAPublicKey) -> bool:
    """
    Tell whether *key* is neither too weak nor made to take long.
    """
    is_short = key.public_numbers().e < _MOST_EXPONENT
    return key.key_size in _RSA_BITS and is_short


def _refuse(what: str, message: str) -> NoReturn:
    msg = f"COSE: {message}"
    raise MalformedError(msg, reason=f"cose-{what}")


def _refuse_algorithm(algorithm: object, key: str) -> NoReturn:
    _refuse("algorithm", f"algorithm {shorten(algorithm)} with the key {key}")


class _Tags(dict[int, Callable[[Any, bool], Any]]):
    """Of every tag, what makes nothing of it but the tag."""

    def __missing__(self, tag: int) -> Callable[[Any, bool], Any]:
        return lambda value, _: cbor2.CBORTag(tag, value)


_TAGS: Final = _Tags()


def _decode(raw: bytes) -> Any:  # noqa: ANN401 - whatever CBOR has
    if len(raw) > MAX_SIZE:
        _refuse("malformed", f"{len(raw)} bytes, expected at most {MAX_SIZE}")
    try:
        value = cbor2.loads(
            raw,
            semantic_decoders=_TAGS,
            max_depth=_MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
        again = cbor2.dumps(value)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as e:
        _refuse("malformed", f"not CBOR: {e}")
    if again != raw:
        _refuse(
            "malformed", "something after the end, or not the shortest form"
        )
    return value


def _read_header(header: object) -> Header:
    if not isinstance(header, Mapping):
        _refuse("header", "the header is no map")
    for label in header:
        if type(label) not in {int, str}:
            _refuse("header", f"label {shorten(label)}")
    return header


#: What is read here and in what uses this.
_UNDERSTOOD: Final = {ALG, CRIT, CONTENT_TYPE, X5CHAIN, X5T, "iss", "feed"}


def _check_critical(header: Header) -> None:
    if CRIT not in header:
        return
    match header[CRIT]:
        case [_, *_] as labels:
            unknown = [each for each in labels if each not in _UNDERSTOOD]
        case _:
            unknown = ["a list without labels"]
    if unknown:
        _refuse("header", f"critical and not known: {shorten(unknown)}")


def _read_chain(header: Header) -> tuple[x509.Certificate, ...]:
    # One certificate stands alone, several in a list (RFC 9360, 2).
    match header.get(X5CHAIN):
        case bytes(leaf):
            ders: list[Any] = [leaf]
        case [_, _, *_] as ders:
            pass
        case _:
            ders = []
    if not 1 <= len(ders) <= MOST_CERTIFICATES or not all(
        isinstance(each, bytes) for each in ders
    ):
        _refuse("header", f"no chain of 1 to {MOST_CERTIFICATES} certificates")
    _check_thumbprint(header, ders[0])
    try:
        return tuple(_read_certificate(der) for der in ders)
    except _UNREADABLE as e:
        _refuse("header", f"chain: {e}")


#: What cryptography raises only when a part is asked for.
_UNREADABLE: Final = (
    MalformedError,
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def _read_certificate(der: bytes) -> x509.Certificate:
    certificate = parse_certificate(der)
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    _ = certificate.public_key(), certificate.extensions
    return certificate


def _check_thumbprint(header: Header, leaf: bytes) -> None:
    if X5T not in header:
        return
    match header[X5T]:
        case [int(algorithm), bytes(value)] if algorithm in _DIGESTS:
            if _DIGESTS[algorithm](leaf).digest() == value:
                return
    _refuse("header", "x5t is not the first certificate's")
