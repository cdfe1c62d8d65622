"""
The keys of those who make bundles and requests.

One secret of 32 bytes gives both pairs: one signs (Ed25519), with the other
secrets are sealed for its holder (X25519).  A fingerprint is the SHA-256 of
both public keys together, so whoever pins it pins both.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import hashlib

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from thim.errors import MalformedError, UntrustedError


if TYPE_CHECKING:
    from typing import Self

SECRET_SIZE: Final = 32
PUBLIC_SIZE: Final = 64
#: What the texts of both keys begin with.
_PUBLIC: Final = "thim-bundle-key-1:"
_SECRET: Final = "thim-bundle-secret-1:"  # noqa: S105 - no secret, a name
_HALF: Final = 32
#: RFC 9180 in its base mode.
_SUITE: Final = hpke.Suite(
    hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM
)


@dataclasses.dataclass(frozen=True, slots=True)
class PublicKey:
    """
    What others know of a key: *raw*, the signing half first.

    Raises:
        MalformedError: Another length.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != PUBLIC_SIZE:
            msg = f"bundle key: got {len(self.raw)} bytes, expected 64"
            raise MalformedError(msg, reason="bundle-key")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """
        Read a key as `text` writes it.

        Raises:
            MalformedError: It is none.
        """
        return cls(_decode(text, _PUBLIC))

    @property
    def text(self) -> str:
        """One line of text, to be handed over."""
        return _encode(self.raw, _PUBLIC)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the key."""
        return hashlib.sha256(self.raw).digest()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key in hexadecimal digits, to be compared."""
        return self.digest.hex()

    def verify(self, signature: bytes, signed: bytes) -> None:
        """
        Check that *signature* is this key's.

        Raises:
            UntrustedError: It is not.
        """
        key = ed25519.Ed25519PublicKey.from_public_bytes(self.raw[:_HALF])
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            msg = f"the signature is not that of the key {self.fingerprint}"
            raise UntrustedError(msg, reason="bundle-signature") from None

    def seal(self, content: bytes, context: bytes) -> bytes:
        """
        Seal *content* so that only the key's holder opens it, as what it is
        sealed for: *context*.

        Raises:
            MalformedError: Nothing can be sealed for such a key.
        """
        half = self.raw[_HALF:]
        try:
            key = x25519.X25519PublicKey.from_public_bytes(half)
            return _SUITE.encrypt(content, key, context)
        except ValueError:
            msg = f"bundle key {self.fingerprint}: not a point on its curve"
            raise MalformedError(msg, reason="bundle-key") from None


class SecretKey:
    """
    A key whose *secret* we know.

    Raises:
        MalformedError: Not 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_SIZE:
            msg = f"bundle key: got {len(secret)} bytes, expected 32"
            raise MalformedError(msg, reason="bundle-key")
        self._secret = secret
        self._signing = ed25519.Ed25519PrivateKey.from_private_bytes(
            _derive(secret, b"thim bundle signing key")
        )
        self._opening = x25519.X25519PrivateKey.from_private_bytes(
            _derive(secret, b"thim bundle opening key")
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """
        Read a key as `text` writes it.

        Raises:
            MalformedError: It is none; the message does not repeat it.
        """
        return cls(_decode(text, _SECRET))

    @property
    def text(self) -> str:
        """One line of text, for the key's file."""
        return _encode(self._secret, _SECRET)

    @property
    def public(self) -> PublicKey:
        """What others may know."""
        halves = (self._signing.public_key(), self._opening.public_key())
        return PublicKey(
            b"".join(
                half.public_bytes(Encoding.Raw, PublicFormat.Raw)
                for half in halves
            )
        )

    def sign(self, content: bytes) -> bytes:
        """
        Sign *content*; equal content has an equal signature.
        """
        return self._signing.sign(content)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """
        Open what was sealed for us as *context*.

        Raises:
            UntrustedError: It was sealed for another key or as something
                else, or was changed.
        """
        try:
            return _SUITE.decrypt(sealed, self._opening, context)
        except (InvalidTag, ValueError):
            msg = "sealed for another key, or changed since"
            raise UntrustedError(msg, reason="bundle-sealed") from None


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), _HALF, salt=None, info=purpose).derive(secret)


def _encode(raw: bytes, prefix: str) -> str:
    return prefix + base64.b64encode(raw).decode("ascii")


def _decode(text: str, prefix: str) -> bytes:
    name, _, encoded = text.strip().partition(":")
    with contextlib.suppress(binascii.Error, ValueError):
        if f"{name}:" == prefix:
            return base64.b64decode(encoded, validate=True)
    msg = f"bundle key: expected one line that begins with {prefix}"
    raise MalformedError(msg, reason="bundle-key")
