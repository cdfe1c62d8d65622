"""
Who may have signed an attestation token: what a provider publishes below
``/certs``, and what their certificates say.

A certificate vouches for nothing here but the name of the provider: the keys
count because they came from the provider's own address.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey

from thim.client.jws import parse_object
from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import is_issued_by, parse_certificate


if TYPE_CHECKING:
    from datetime import datetime

#: Azure's has six, and fits into 40 KiB.
MAX_CERTS_SIZE: Final = 512 * 1024
_MOST_SIGNERS: Final = 64
#: Azure has published one of 1024 bits, which signed nothing that was seen.
_LEAST_BITS: Final = 2048
_MOST_BITS: Final = 8192


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """
    A key that a provider publishes.

    Attributes:
        kid: Its name; empty if it has none.
        certificate: The first of ``x5c``; the others are not looked at.
        key: The certificate's.
    """

    kid: str
    certificate: x509.Certificate = dataclasses.field(repr=False)
    key: RSAKey = dataclasses.field(repr=False)


def read_signers(raw: bytes) -> tuple[Signer, ...]:
    """
    Read the answer of ``/certs``.

    Keys that cannot have signed a token are left out: of another kind than
    RSA, or of a size that does not do.

    Raises:
        MalformedError: It is no such answer.
    """
    if len(raw) > MAX_CERTS_SIZE:
        msg = f"certs: more than {MAX_CERTS_SIZE} bytes"
        raise MalformedError(msg, reason="too-large")
    entries = parse_object(raw, "answer of /certs").get("keys")
    if not isinstance(entries, list) or len(entries) > _MOST_SIGNERS:
        msg = f"certs: keys are no list of {_MOST_SIGNERS} at most"
        raise MalformedError(msg, reason="certs")
    found = (_read(entry) for entry in entries)
    return tuple(signer for signer in found if signer is not None)


def _read(entry: object) -> Signer | None:
    if not isinstance(entry, dict):
        msg = "certs: a key is no object"
        raise MalformedError(msg, reason="certs")
    if entry.get("kty") != "RSA":
        return None
    kid, chain = entry.get("kid", ""), entry.get("x5c")
    if not isinstance(kid, str) or not isinstance(chain, list) or not chain:
        msg = "certs: a key without its kid or its x5c"
        raise MalformedError(msg, reason="certs")
    return read_signer(kid, _decode(chain[0]))


def _decode(text: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "")
    except (binascii.Error, ValueError) as e:
        msg = "certs: x5c is not in base64"
        raise MalformedError(msg, reason="certs") from e


def read_signer(kid: str, der: bytes) -> Signer | None:
    """
    Read a signer by its certificate; None if its key does not do.

    Raises:
        MalformedError: Not a certificate.
    """
    certificate = parse_certificate(der)
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as e:
        msg = f"certs: the key of {kid!r} cannot be read"
        raise MalformedError(msg, reason="certs") from e
    if not isinstance(key, rsa.RSAPublicKey):
        return None
    if not _LEAST_BITS <= key.key_size <= _MOST_BITS:
        return None
    return Signer(kid=kid, certificate=certificate, key=RSAKey.import_key(key))


def check_signer(signer: Signer, issuer: str, now: datetime) -> None:
    """
    Check that the signer's certificate is what the *issuer* has made itself,
    for itself: subject and issuer are ``CN=<issuer>``.

    Raises:
        UntrustedError: It is not, or not valid *now*.
    """
    certificate = signer.certificate
    for name in (certificate.subject, certificate.issuer):
        if _read_name(name) != [(x509.NameOID.COMMON_NAME, issuer)]:
            msg = (
                f"signer: its certificate names {name.rfc4514_string()!r}, "
                f"expected 'CN={issuer}'"
            )
            raise UntrustedError(msg, reason="signer-name")
    if not is_issued_by(certificate, certificate):
        msg = "signer: its certificate is not signed by its own key"
        raise UntrustedError(msg, reason="signer-certificate")
    first = certificate.not_valid_before_utc
    last = certificate.not_valid_after_utc
    if not first <= now <= last:
        msg = (
            f"signer: its certificate is valid {first:%FT%TZ} to "
            f"{last:%FT%TZ}, not at {now:%FT%TZ}"
        )
        raise UntrustedError(msg, reason="signer-certificate")


def _read_name(name: x509.Name) -> list[tuple[x509.ObjectIdentifier, object]]:
    return [(attribute.oid, attribute.value) for attribute in name]
