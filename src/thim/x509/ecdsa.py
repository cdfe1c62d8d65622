"""
ECDSA signatures in the raw form that Intel uses: r and s, 32 bytes each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from thim.errors import UntrustedError


if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SIGNATURE_SIZE: Final = 64
_SHA256: Final = ec.ECDSA(hashes.SHA256())


def p256_key(certificate: Certificate) -> ec.EllipticCurvePublicKey:
    """
    Return the P-256 public key of *certificate*.

    Raises:
        UntrustedError: The key is of another kind.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1
    ):
        return key

    msg = f"{certificate.subject.rfc4514_string()}: key is not ECDSA P-256"
    raise UntrustedError(msg, reason="key-kind")


def is_p256_signature(
    key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes
) -> bool:
    """
    Tell whether *signature* (r and s, big-endian, 64 bytes) is *key*'s over
    the SHA-256 digest of *signed*.
    """
    if len(signature) != SIGNATURE_SIZE:
        return False
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    try:
        key.verify(utils.encode_dss_signature(r, s), signed, _SHA256)
    except InvalidSignature:
        return False
    return True
