"""
Who signs policies: a certificate with its chain, as a JWS carries it.

Which signer counts is decided elsewhere, by comparing certificates.  Dates are
not looked at: a policy stays in force for longer than the certificate lasts,
and who is no longer to sign is taken off the list.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import itertools
import re

from typing import TYPE_CHECKING, Any, Final, NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding

from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import (
    EXTENSION_ERRORS,
    common_name,
    is_issued_by,
    parse_certificate,
)


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_CERTIFICATES: Final = 8
_LONGEST_CERTIFICATE: Final = 16 * 1024
#: Azure's JavaScript client signs with 1024 bits in its own tests.
LEAST_BITS: Final = 1024
#: What a key must have that makes a policy a tenant's.
STRONG_BITS: Final = 2048
_MOST_BITS: Final = 8192
_LEAST_EXPONENT: Final = 65537
_MOST_EXPONENT_BITS: Final = 32
_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")
_ES256_SIZE: Final = 64
_SHA256: Final = hashes.SHA256()
_PADDED: Final = re.compile(r"([A-Za-z0-9+/_-]*)={0,2}", re.ASCII)
_TO_STANDARD: Final = str.maketrans("-_", "+/")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PolicySigner:
    """
    Whose key signed: the *chain*, the signer's own certificate first.
    """

    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """The signer's own certificate."""
        return self.chain[0]

    @property
    def der(self) -> bytes:
        """The signer's own certificate."""
        return to_der(self.certificate)

    def to_jwk(self) -> dict[str, Any]:
        """
        Write the signer as tokens name one: ``kty`` and ``x5c``.
        """
        return write_jwk(self.chain)

    def is_one_of(self, ders: Iterable[bytes]) -> bool:
        """
        Tell whether the signer's own certificate is among *ders*; how long
        that takes says nothing of them.
        """
        der = self.der
        return sum(hmac.compare_digest(der, each) for each in ders) > 0


def to_der(certificate: x509.Certificate) -> bytes:
    """
    Return *certificate* as it was read.
    """
    return certificate.public_bytes(Encoding.DER)


def write_jwk(chain: Sequence[x509.Certificate]) -> dict[str, Any]:
    """
    Write *chain* as Azure does: ``kty`` and ``x5c``.
    """
    is_rsa = isinstance(chain[0].public_key(), rsa.RSAPublicKey)
    x5c = [base64.b64encode(to_der(each)).decode("ascii") for each in chain]
    return {"kty": "RSA" if is_rsa else "EC", "x5c": x5c}


def write_signing_jwk(chain: Sequence[x509.Certificate]) -> dict[str, Any]:
    """
    Write *chain* as the answers of management calls do: ``alg`` and ``use``
    as well.
    """
    jwk = write_jwk(chain)
    alg = "RS256" if jwk["kty"] == "RSA" else "ES256"
    return {"alg": alg, **jwk, "use": "sig"}


def spell_thumbprint(der: bytes) -> str:
    """
    Return the SHA-1 of a certificate in upper-case hex, by which Azure names
    it; nothing is decided by that.
    """
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def decode_leniently(text: str, what: str) -> bytes:
    """
    Decode base64 of either alphabet, padded or not.

    Raises:
        MalformedError: It is none; the message names *what*.
    """
    match = _PADDED.fullmatch(text)
    bare = "" if match is None else match[1].translate(_TO_STANDARD)
    if match is None or len(bare) % 4 == 1:
        msg = f"{what} is not base64url"
        raise MalformedError(msg, reason="policy-jws")
    return base64.b64decode(bare + "=" * (-len(bare) % 4))


def read_chain(texts: object, what: str) -> tuple[x509.Certificate, ...]:
    """
    Read an ``x5c``, which *what* names: certificates in base64, the signer's
    own first.

    1. There are 1 to 8, and each can be read.
    2. Each is issued by the next one, which is a CA.
    3. The last one is signed by itself, and where it is not the only one it is
       a CA as well.

    A single one need not be: it vouches for nobody but itself, and Azure's
    clients make theirs with CA = false.

    Raises:
        MalformedError: It is none.
        UntrustedError: The certificates are no chain.
    """
    if not isinstance(texts, list) or not all(
        isinstance(text, str) for text in texts
    ):
        msg = f"{what} is no list of strings"
        raise MalformedError(msg, reason="policy-jws")
    if not 0 < len(texts) <= MOST_CERTIFICATES:
        msg = (
            f"{what} has {len(texts)} certificates, expected 1 to "
            f"{MOST_CERTIFICATES}"
        )
        raise MalformedError(msg, reason="policy-jws")
    chain = tuple(_read_certificate(text, what) for text in texts)
    _check_chain(chain)
    return chain


def _read_certificate(text: str, what: str) -> x509.Certificate:
    if len(text) > 2 * _LONGEST_CERTIFICATE:
        msg = f"a certificate in {what} is too long"
        raise MalformedError(msg, reason="policy-jws")
    der = decode_leniently(text, f"a certificate in {what}")
    try:
        certificate = parse_certificate(der)
    except MalformedError as e:
        msg = f"{what}: {e}"
        raise MalformedError(msg, reason="policy-signer") from e
    check_key(certificate)
    return certificate


def _check_chain(chain: Sequence[x509.Certificate]) -> None:
    for subject, issuer in itertools.pairwise(chain):
        if not is_issued_by(subject, issuer):
            _distrust(f"{_name(subject)} is not issued by {_name(issuer)}")
    root = chain[-1]
    if not is_issued_by(root, root):
        _distrust(
            f"the chain of the signing certificate ends in {_name(root)}, "
            f"which is not signed by itself"
        )
    for issuer in chain[1:]:
        if not _is_ca(issuer):
            _distrust(
                f"{_name(issuer)} is not a CA: BasicConstraints CA = true is "
                f"expected"
            )


def _is_ca(certificate: x509.Certificate) -> bool:
    # Not ``x509.chain.is_ca``: Azure's own have no key usage.
    try:
        extensions = certificate.extensions
        found = extensions.get_extension_for_class(x509.BasicConstraints)
    except EXTENSION_ERRORS:
        return False
    return found.value.ca


def check_key(
    certificate: x509.Certificate, least_bits: int = LEAST_BITS
) -> None:
    """
    Check that the key of *certificate* is one that may sign: RSA of
    *least_bits* to 8192 bits with a usual exponent, or ECDSA on one of NIST's
    curves.

    Raises:
        UntrustedError: It is none.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as e:
        _distrust(f"{_name(certificate)}: the key cannot be used", e)
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa(certificate, key, least_bits)
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return
    _distrust(
        f"{_name(certificate)}: the key is neither RSA nor ECDSA on P-256, "
        f"P-384 or P-521"
    )


def _check_rsa(
    certificate: x509.Certificate, key: rsa.RSAPublicKey, least_bits: int
) -> None:
    if not least_bits <= key.key_size <= _MOST_BITS:
        _distrust(
            f"{_name(certificate)}: the RSA key has {key.key_size} bits, "
            f"expected {least_bits} to {_MOST_BITS}"
        )
    exponent = key.public_numbers().e
    is_usual = (
        exponent >= _LEAST_EXPONENT
        and exponent % 2 == 1
        and exponent.bit_length() <= _MOST_EXPONENT_BITS
    )
    if not is_usual:
        _distrust(
            f"{_name(certificate)}: the RSA key's exponent is not usual, "
            f"expected {_LEAST_EXPONENT}"
        )


def verify_jws(
    alg: str, signer: PolicySigner, signed: bytes, signature: bytes
) -> None:
    """
    Verify that *signature* is the signer's over *signed*.

    The key decides what kind of signature is expected, *alg* has to name it:
    ``RS256`` or ``RSA256``; ``ECDH256`` with the signature in DER; ``ES256``
    with r and s one behind the other.

    Raises:
        UntrustedError: It is not, or *alg* is for another kind of key.
    """
    key = signer.certificate.public_key()
    is_rsa = isinstance(key, rsa.RSAPublicKey)
    if alg not in (("RS256", "RSA256") if is_rsa else ("ECDH256", "ES256")):
        kind = "an RSA" if is_rsa else "an ECDSA"
        msg = f"alg is {alg}, and the certificate has {kind} key"
        raise UntrustedError(msg, reason="policy-signature")
    if alg == "ES256":
        signature = _encode_raw(signature)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), _SHA256)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(_SHA256))
    except InvalidSignature as e:
        msg = (
            f"the signature is not that of {_name(signer.certificate)} over "
            f"header and body"
        )
        raise UntrustedError(msg, reason="policy-signature") from e


def _encode_raw(signature: bytes) -> bytes:
    if len(signature) != _ES256_SIZE:
        msg = f"an ES256 signature has {_ES256_SIZE} bytes"
        raise UntrustedError(msg, reason="policy-signature")
    half = _ES256_SIZE // 2
    r = int.from_bytes(signature[:half], "big")
    s = int.from_bytes(signature[half:], "big")
    return utils.encode_dss_signature(r, s)


def _name(certificate: x509.Certificate) -> str:
    name = common_name(certificate.subject)[:64]
    return ascii(name)[1:-1] or "a certificate without a name"


def _distrust(message: str, cause: Exception | None = None) -> NoReturn:
    raise UntrustedError(message, reason="policy-signer") from cause
