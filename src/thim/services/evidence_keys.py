"""
Who signed an evidence pack: a key of a JSON web key set, as ``/certs`` has
them or as packs have them.
"""

from __future__ import annotations

import base64
import binascii
import json

from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPublicKey,
    RSAPublicNumbers,
)
from cryptography.hazmat.primitives.hashes import SHA256

from thim.attestation.signing_key import find_current
from thim.client.jws import check_algorithm, read_jws
from thim.errors import MalformedError, OperatorError, UntrustedError
from thim.services.evidence_pack import TYPE
from thim.services.secrets import open_sealer
from thim.services.signing_keys import open_signing_key
from thim.store.signing_key_view import SigningKeyView


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from thim.attestation.token import Signer
    from thim.store.replica import Replica


def open_signer(replica: Replica, key_file: Path, now: datetime) -> Signer:
    """
    Open the key that signs tokens at *now*, with the key in *key_file*.

    Raises:
        OperatorError: There is none, or it cannot be opened.
    """
    view = SigningKeyView(replica)
    current = find_current(view.all(), now)
    if current is None:
        msg = (
            "there is no signing key: `thim signing rotate` makes one, and "
            "--unsigned does without"
        )
        raise OperatorError(msg, reason="no-key")
    sealer = open_sealer(replica, key_file)
    sealed = view.find_sealed(current.kid)
    return open_signing_key(current.kid, sealed or b"", sealer)


def find_signer(jws: bytes, jwks: bytes) -> tuple[str, dict[str, Any]]:
    """
    Return the key ID of that key in *jwks* which signed a pack's *jws*, and
    what it signed.

    Raises:
        MalformedError: One of them is not in its form.
        UntrustedError: None of the keys signed it.
    """
    read = read_jws(jws.strip())
    check_algorithm(read, {"RS256"})
    if read.header.get("typ") != TYPE:
        msg = "the signature is one of another thing"
        raise UntrustedError(msg, reason="evidence-signature")
    keys = read_keys(jwks)
    key = keys.get(read.kid or "")
    if key is None:
        msg = f"none of the keys is {read.kid}, which is said to have signed"
        raise UntrustedError(msg, reason="evidence-signature")
    try:
        key.verify(read.signature, read.signed, PKCS1v15(), SHA256())
    except InvalidSignature as e:
        msg = f"the signature is not one of {read.kid}"
        raise UntrustedError(msg, reason="evidence-signature") from e
    return read.kid or "", read.payload


def read_keys(jwks: bytes) -> Mapping[str, RSAPublicKey]:
    """
    Read the RSA keys of a key set, by their IDs.

    Raises:
        MalformedError: It is none.
    """
    try:
        found = json.loads(jwks)["keys"]
        return {
            str(jwk["kid"]): _read_key(jwk)
            for jwk in found
            if jwk.get("kty") == "RSA"
        }
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
        binascii.Error,
    ) as e:
        msg = f"no JSON web key set: {type(e).__name__}: {e}"
        raise MalformedError(msg, reason="jwks") from e


def _read_key(jwk: Mapping[str, Any]) -> RSAPublicKey:
    if "n" in jwk:
        numbers = RSAPublicNumbers(
            _read_number(jwk["e"]), _read_number(jwk["n"])
        )
        return numbers.public_key()
    der = base64.b64decode(jwk["x5c"][0], validate=True)
    key = x509.load_der_x509_certificate(der).public_key()
    if not isinstance(key, RSAPublicKey):
        msg = f"{jwk['kid']} is no RSA key"
        raise TypeError(msg)
    return key


def _read_number(text: str) -> int:
    padded = text + "=" * (-len(text) % 4)
    return int.from_bytes(base64.urlsafe_b64decode(padded), "big")
