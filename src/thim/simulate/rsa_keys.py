"""
RSA keys without a search for primes, and signatures without chance.

AMD's authorities have keys of 4096 bits.  To find one takes seconds, and no
library finds the same one twice, so the primes lie in a file beside this
module.  They are known to everybody and good for test anchors only.

Signatures are RSASSA-PSS as AMD has it (SHA-384, MGF1 with SHA-384, a salt of
48 bytes; RFC 8017, 8.1), but for the salt, which is a hash of what is signed:
the same message gets the same signature.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib

from pathlib import Path
from typing import Final

from thim.x509 import der_writer as der


_FILE: Final = Path(__file__).parent / "primes.txt"
_EXPONENT: Final = 65537
_SIZE: Final = 512
_KEPT: Final = 4096
_HASH_SIZE: Final = 48
_RSA_ENCRYPTION: Final = "1.2.840.113549.1.1.1"


@dataclasses.dataclass(frozen=True, slots=True)
class RsaKey:
    """
    A private key of 4096 bits: its primes.
    """

    p: int
    q: int

    @property
    def public_der(self) -> bytes:
        """
        The RSAPublicKey (RFC 8017, A.1.1).
        """
        modulus = self.p * self.q
        return der.sequence(der.integer(modulus), der.integer(_EXPONENT))

    @property
    def spki(self) -> bytes:
        """
        The SubjectPublicKeyInfo.
        """
        algorithm = der.sequence(der.oid(_RSA_ENCRYPTION), der.NULL)
        return der.sequence(algorithm, der.bit_string(self.public_der))

    @property
    def identifier(self) -> bytes:
        """
        The key identifier, 20 bytes (RFC 5280, 4.2.1.2, method 1).
        """
        return hashlib.sha1(self.public_der, usedforsecurity=False).digest()

    def sign(self, message: bytes, seed: str) -> bytes:
        """
        Sign *message*; the salt is made from *seed* and the message.
        """
        salt = hashlib.sha384(seed.encode() + b"/salt/" + message).digest()
        return _apply(self, _encode_pss(message, salt))


@functools.lru_cache(_KEPT)
def _apply(key: RsaKey, block: bytes) -> bytes:
    # RSASP1 by the Chinese remainder theorem (RFC 8017, 5.2.1).  It takes
    # some 40 ms, and simulations that begin anew sign the same things.
    number, p, q = int.from_bytes(block, "big"), key.p, key.q
    by_p = pow(number, pow(_EXPONENT, -1, p - 1), p)
    by_q = pow(number, pow(_EXPONENT, -1, q - 1), q)
    signature = by_q + q * ((by_p - by_q) * pow(q, -1, p) % p)
    return signature.to_bytes(_SIZE, "big")


def _encode_pss(message: bytes, salt: bytes) -> bytes:
    # EMSA-PSS-ENCODE (RFC 8017, 9.1.1) for 4095 bits.
    digest = hashlib.sha384(message).digest()
    hashed = hashlib.sha384(bytes(8) + digest + salt).digest()
    size = _SIZE - len(hashed) - 1
    block = (b"\1" + salt).rjust(size, b"\0")
    masked = bytearray(
        a ^ b for a, b in zip(block, _mask(hashed, size), strict=True)
    )
    masked[0] &= 0x7F
    return bytes(masked) + hashed + b"\xbc"


def _mask(seed: bytes, size: int) -> bytes:
    # MGF1 (RFC 8017, B.2.1).
    blocks = -(-size // _HASH_SIZE)
    return b"".join(
        hashlib.sha384(seed + i.to_bytes(4, "big")).digest()
        for i in range(blocks)
    )[:size]


@functools.lru_cache(16)
def make_keys(seed: str) -> tuple[RsaKey, ...]:
    """
    Return the keys that *seed* has, always the same 32, no two with a common
    prime.

    The seed shuffles the primes, so that two seeds have all but surely other
    keys at each place.
    """
    primes = sorted(
        _read_primes(),
        key=lambda p: hashlib.sha256(f"{seed}/{p}".encode()).digest(),
    )
    pairs = zip(primes[::2], primes[1::2], strict=True)
    return tuple(RsaKey(p, q) for p, q in pairs)


@functools.cache
def _read_primes() -> tuple[int, ...]:
    lines = _FILE.read_text().splitlines()
    return tuple(int(line, 16) for line in lines if not line.startswith("#"))
