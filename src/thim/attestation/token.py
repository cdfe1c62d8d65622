"""
The outer form of tokens: header, signature, keys and their certificates, as
Azure Attestation has them.

* ``kid`` is base64(SHA-256(public key in PEM, and a NUL byte)).
* The header holds ``alg``, ``jku``, ``kid`` and ``typ``, in this order; the
  claims follow in alphabetical order, at all depths, as UTF-8 without blanks.
* ``/certs`` has an ``x5c`` of each key, and nothing else that says what it is.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json

from typing import TYPE_CHECKING, Any, Final

import msgspec

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

from thim.errors import MalformedError


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ALGORITHM: Final = "RS256"
UNSIGNED: Final = "none"
#: Of a new key, as Azure's are.
KEY_SIZE: Final = 2048
_SIGNING: Final = JWSRegistry(algorithms=[ALGORITHM]).get_alg(ALGORITHM)
_ESCAPED: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False
)
#: What Azure's default policies issue; others add what they like.
_CLAIMS: Final = (
    "is-debuggable",
    "sgx-mrsigner",
    "sgx-mrenclave",
    "product-id",
    "svn",
    "tee",
)


def digest_key(public: RSAPublicKey) -> bytes:
    """
    Return the digest by which a key is known, and to which evidence binds it.
    """
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem + b"\0").digest()


def key_id(public: RSAPublicKey) -> str:
    """
    Return the ``kid`` of a key.
    """
    return base64.b64encode(digest_key(public)).decode("ascii")


def read_public_key(spki: bytes) -> RSAPublicKey:
    """
    Read an RSA key, SubjectPublicKeyInfo in DER.

    Raises:
        MalformedError: It is none.
    """
    try:
        found = load_der_public_key(spki)
    except (ValueError, TypeError) as e:
        msg = f"signing key: {e}"
        raise MalformedError(msg, reason="signing-key") from e
    if not isinstance(found, RSAPublicKey):
        msg = "signing key: expected an RSA key"
        raise MalformedError(msg, reason="signing-key")
    return found


class Signer:
    """
    Signs tokens with *key*, which is read once.
    """

    __slots__ = ("_key", "kid", "private_key")

    def __init__(self, key: RSAPrivateKey) -> None:
        self.private_key = key
        self.kid = key_id(key.public_key())
        self._key = RSAKey.import_key(key)

    def __repr__(self) -> str:
        return f"Signer({self.kid})"

    def sign(self, issuer: str, claims: Mapping[str, Any]) -> str:
        """
        Return the token with these *claims*; ``iss`` is the *issuer*.
        """
        signed = _write(ALGORITHM, self.kid, issuer, claims)
        signature = _SIGNING.sign(signed, self._key)
        return (signed + b"." + _encode(signature)).decode("ascii")

    def write_draft(self, issuer: str, claims: Mapping[str, Any]) -> str:
        """
        Return the token that nobody has signed, as it answers a draft policy.
        """
        unsigned = _write(UNSIGNED, self.kid, issuer, claims)
        return (unsigned + b".").decode("ascii")


def _write(
    algorithm: str, kid: str, issuer: str, claims: Mapping[str, Any]
) -> bytes:
    payload = serialise({**claims, "iss": issuer})
    return _write_header(algorithm, kid, issuer) + b"." + _encode(payload)


@functools.lru_cache(maxsize=256)
def _write_header(algorithm: str, kid: str, issuer: str) -> bytes:
    header = {
        "alg": algorithm,
        "jku": f"{issuer}/certs",
        "kid": kid,
        "typ": "JWT",
    }
    return _encode(serialise(header))


def serialise(claims: Mapping[str, Any]) -> bytes:
    """
    Write *claims* in alphabetical order.
    """
    try:
        return msgspec.json.encode(claims, order="sorted")
    except UnicodeEncodeError:
        # Half a surrogate pair, from data that a client sent, is no UTF-8: it
        # is escaped, and all else with it.
        return _ESCAPED.encode(claims).encode("ascii")


def _encode(raw: bytes) -> bytes:
    digits = binascii.b2a_base64(raw, newline=False).rstrip(b"=")
    return digits.replace(b"+", b"-").replace(b"/", b"_")


def write_jwks(certificates: Iterable[tuple[str, bytes]]) -> bytes:
    """
    Write the key set of these *certificates*, each a ``kid`` and DER.
    """
    keys = [
        {
            "x5c": [base64.b64encode(der).decode("ascii")],
            "kid": kid,
            "kty": "RSA",
        }
        for kid, der in certificates
    ]
    return msgspec.json.encode({"keys": keys})


def write_openid_configuration(issuer: str) -> bytes:
    """
    Write the OpenID document of *issuer*.
    """
    return msgspec.json.encode(
        {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/certs",
            "response_types_supported": ["token", "none"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "revocation_endpoint": f"{issuer}/revoke",
            "claims_supported": _CLAIMS,
        }
    )
