"""
Public signing keys, as evidence packs and files of keys have them.
"""

from __future__ import annotations

import base64
import hashlib

from typing import TYPE_CHECKING, Any

from thim.attestation.token import read_public_key
from thim.services.evidence_rows import spell


if TYPE_CHECKING:
    from thim.attestation.signing_key import SigningKey


def key_row(key: SigningKey) -> dict[str, Any]:
    """
    Write what is known of a signing key, and which file has it.
    """
    return {
        "kid": key.kid,
        "created": spell(key.created),
        "active_from": spell(key.active_from),
        "revoked": spell(key.revoked),
        "actor": key.actor,
        "file": f"signing-keys/{hashlib.sha256(key.spki).hexdigest()}.pem",
    }


def write_jwk(key: SigningKey) -> dict[str, str]:
    """
    Write a public key as a JSON web key.
    """
    numbers = read_public_key(key.spki).public_numbers()
    return {
        "kty": "RSA",
        "kid": key.kid,
        "alg": "RS256",
        "use": "sig",
        "n": _encode(numbers.n),
        "e": _encode(numbers.e),
    }


def _encode(number: int) -> str:
    size = (number.bit_length() + 7) // 8
    raw = number.to_bytes(size, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
