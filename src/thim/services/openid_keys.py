"""
The public keys of an OpenID issuer, as its JWKS has them (RFC 7517).
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey, RSAKey

from thim.client.jws import decode_part, is_signed, parse_object
from thim.errors import MalformedError


if TYPE_CHECKING:
    from collections.abc import Collection

    from thim.client.jws import Jws

MAX_SIZE: Final = 256 * 1024
_MOST: Final = 64
_LEAST_BITS: Final = 2048
_MOST_BITS: Final = 8192


class _Curve(NamedTuple):
    """A curve, and what is signed with keys on it."""

    curve: ec.EllipticCurve
    algorithm: str


_CURVES: Final = {
    "P-256": _Curve(ec.SECP256R1(), "ES256"),
    "P-384": _Curve(ec.SECP384R1(), "ES384"),
    "P-521": _Curve(ec.SECP521R1(), "ES512"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKey:
    """
    A key of an issuer.

    Attributes:
        kid: Its name; empty if it has none.
        algorithms: What it may sign by.
        key: The key.
    """

    kid: str
    algorithms: frozenset[str]
    key: RSAKey | ECKey = dataclasses.field(repr=False)

    def has_signed(self, jws: Jws) -> bool:
        """
        Tell whether it signed a token by an algorithm that it may sign by.
        """
        algorithm = jws.header["alg"]
        return algorithm in self.algorithms and is_signed(
            jws, self.key, self.algorithms
        )


def read_keys(raw: bytes, algorithms: Collection[str]) -> tuple[IssuerKey, ...]:
    """
    Read a JWKS; what cannot verify by one of *algorithms* is left out.

    Raises:
        MalformedError: It is none.
    """
    if len(raw) > MAX_SIZE:
        msg = f"keys: more than {MAX_SIZE} bytes"
        raise MalformedError(msg, reason="too-large")
    entries = parse_object(raw, "JWKS").get("keys")
    if not isinstance(entries, list) or len(entries) > _MOST:
        msg = f"keys: no list of {_MOST} at most"
        raise MalformedError(msg, reason="keys")
    found = (_read(entry, frozenset(algorithms)) for entry in entries)
    return tuple(key for key in found if key is not None)


def _read(entry: object, allowed: frozenset[str]) -> IssuerKey | None:
    if not isinstance(entry, dict) or not _is_for_signatures(entry):
        return None
    kid = entry.get("kid", "")
    algorithms = _list_algorithms(entry) & allowed
    key = _import(entry) if algorithms and isinstance(kid, str) else None
    if key is None:
        return None
    return IssuerKey(kid=kid, algorithms=algorithms, key=key)


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    is_usable = isinstance(operations, list) and "verify" in operations
    return is_usable and entry.get("use", "sig") == "sig"


def _list_algorithms(entry: dict[str, Any]) -> frozenset[str]:
    if entry.get("kty") == "RSA":
        able = {f"{kind}{n}" for kind in ("RS", "PS") for n in (256, 384, 512)}
    elif entry.get("kty") == "EC":
        name = entry.get("crv")
        found = _CURVES.get(name) if isinstance(name, str) else None
        able = {found.algorithm} if found else set()
    else:
        able = set()
    named = entry.get("alg")
    return frozenset(a for a in able if named is None or a == named)


def _import(entry: dict[str, Any]) -> RSAKey | ECKey | None:
    try:
        if entry["kty"] == "RSA":
            return _import_rsa(entry)
        curve = _CURVES[entry["crv"]].curve
        numbers = ec.EllipticCurvePublicNumbers(
            _number(entry, "x"), _number(entry, "y"), curve
        )
        return ECKey.import_key(numbers.public_key())
    except (MalformedError, ValueError, UnsupportedAlgorithm):
        return None


def _import_rsa(entry: dict[str, Any]) -> RSAKey | None:
    n = _number(entry, "n")
    if not _LEAST_BITS <= n.bit_length() <= _MOST_BITS:
        return None
    numbers = rsa.RSAPublicNumbers(_number(entry, "e"), n)
    return RSAKey.import_key(numbers.public_key())


def _number(entry: dict[str, Any], name: str) -> int:
    text = entry.get(name)
    if not isinstance(text, str) or not text.isascii():
        msg = f"keys: {name} is no number"
        raise MalformedError(msg, reason="keys")
    return int.from_bytes(decode_part(text.encode("ascii"), name), "big")
