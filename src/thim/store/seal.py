"""
Sealing: what is kept secret even from whoever has a copy of the store.

A sealed text is a version byte, the key's ID, a nonce and what AES-256-GCM
(NIST SP 800-38D) made of the plain text.  The *context* says what it is and
whose; it is not kept, and without it nothing is opened, so that a sealed text
cannot be moved to another row.
"""

from __future__ import annotations

import hashlib
import secrets

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from thim.errors import OperatorError, ThimError


if TYPE_CHECKING:
    from thim.store.replica import Replica

KEY_SIZE: Final = 32
_VERSION: Final = 1
_ID_SIZE: Final = 4
_NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16
_HEAD_SIZE: Final = 1 + _ID_SIZE + _NONCE_SIZE
_FIND: Final = "SELECT value FROM settings WHERE name = 'key_id'"


class SealError(ThimError):
    """
    What was sealed cannot be opened: ``wrong-key`` (it was sealed with another
    one) or ``damaged`` (it or its context is not what was sealed).
    """

    default_reason = "damaged"


class Sealer:
    """
    Seals and opens with one *key* of 32 bytes.

    Raises:
        OperatorError: The key is of another length.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            msg = f"sealing key of {len(key)} bytes, expected {KEY_SIZE}"
            raise OperatorError(msg, reason="key-file-content")
        self._key_id = hashlib.sha256(key).digest()[:_ID_SIZE]
        self._cipher = AESGCM(key)

    @property
    def key_id(self) -> str:
        """
        Return by what the key is told from others; it says nothing about it.
        """
        return self._key_id.hex()

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """
        Seal *plain*, to be opened with the same *context*.
        """
        nonce = secrets.token_bytes(_NONCE_SIZE)
        head = bytes([_VERSION]) + self._key_id
        return head + nonce + self._cipher.encrypt(nonce, plain, head + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """
        Return what was sealed.

        Raises:
            SealError: It was sealed with another key, or is damaged.
        """
        if len(sealed) < _HEAD_SIZE + _TAG_SIZE or sealed[0] != _VERSION:
            msg = f"{len(sealed)} bytes that are not sealed as they should be"
            raise SealError(msg)
        head, nonce = sealed[: 1 + _ID_SIZE], sealed[1 + _ID_SIZE : _HEAD_SIZE]
        if head[1:] != self._key_id:
            msg = f"sealed with the key {head[1:].hex()}, this is {self.key_id}"
            raise SealError(msg, reason="wrong-key")
        try:
            return self._cipher.decrypt(
                nonce, sealed[_HEAD_SIZE:], head + context
            )
        except InvalidTag:
            msg = "what was sealed is damaged, or belongs elsewhere"
            raise SealError(msg) from None


def find_key_id(replica: Replica) -> str | None:
    """
    Return the ID of the key that the store's secrets are sealed with; None if
    nothing was sealed yet.
    """
    row = replica.first(_FIND)
    return row[0] if row else None
