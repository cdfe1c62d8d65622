"""
A signed token in three parts (RFC 7515, compact), read so that it can be read
in one way only.

What the format leaves open is refused: base64url with padding or spare bits,
keys that stand twice in one JSON object, numbers that are none, ``crit``, and
whatever is longer or deeper than a token has reason to be.  Nothing that a
token says of keys (``jku``, ``x5u``, ``x5c``, ``jwk``) is looked at here, and
its ``alg`` counts only if the caller allows it.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses

from typing import TYPE_CHECKING, Any, Final, NoReturn

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from thim.errors import MalformedError, UntrustedError, shorten
from thim.intel.strict_json import parse_strictly


if TYPE_CHECKING:
    from collections.abc import Collection

    from joserfc.jwk import ECKey, RSAKey

MAX_TOKEN_SIZE: Final = 1024 * 1024
_MAX_HEADER: Final = 16 * 1024
_MAX_DEPTH: Final = 64
_PARTS: Final = 3
#: Extensions that change what is signed or how; none is understood here.
_REFUSED: Final = ("crit", "b64", "zip", "enc")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Jws:
    """
    A token's parts, of which nothing is verified.

    Attributes:
        header: The protected header.
        payload: The claims.
        signed: The bytes that the signature is over.
        signature: The signature; empty in an unsigned token.
    """

    header: dict[str, Any]
    payload: dict[str, Any] = dataclasses.field(repr=False)
    signed: bytes = dataclasses.field(repr=False)
    signature: bytes = dataclasses.field(repr=False)

    @property
    def kid(self) -> str | None:
        """The name of the key, if the header says one; a hint."""
        kid = self.header.get("kid")
        return kid if isinstance(kid, str) else None


def read_jws(token: str | bytes, most: int = MAX_TOKEN_SIZE) -> Jws:
    """
    Read *token*, of *most* bytes.

    Raises:
        MalformedError: It is not in that form.
    """
    raw = _to_ascii(token)
    if len(raw) > most:
        _refuse(f"more than {most} bytes", "too-large")
    parts = raw.split(b".", _PARTS)
    if len(parts) != _PARTS:
        _refuse(f"{len(parts)} parts, expected 3", "parts")
    head, body, signature = parts
    if len(head) > _MAX_HEADER:
        _refuse(f"a header of more than {_MAX_HEADER} bytes", "too-large")
    header = parse_object(decode_part(head, "header"), "header")
    _check_header(header)
    return Jws(
        header=header,
        payload=parse_object(decode_part(body, "payload"), "payload"),
        signed=head + b"." + body,
        signature=decode_part(signature, "signature"),
    )


def _to_ascii(token: str | bytes) -> bytes:
    if isinstance(token, bytes):
        return token
    try:
        return token.encode("ascii")
    except UnicodeEncodeError:
        _refuse("characters that are not of base64url", "base64url")


def _check_header(header: dict[str, Any]) -> None:
    for name in _REFUSED:
        if name in header:
            _refuse(f"header: {name} is not understood", "critical")
    for name in ("alg", "typ", "kid", "jku", "cty"):
        if name in header and not isinstance(header[name], str):
            _refuse(f"header: {name} is no text", "header")
    if "alg" not in header:
        _refuse("header: alg is missing", "header")


def decode_part(part: bytes, what: str) -> bytes:
    """
    Read base64url without padding; *what* names it in errors.

    Raises:
        MalformedError: It is not in that form.
    """
    padded = part + b"=" * (-len(part) % 4)
    try:
        found = base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error:
        found = b""
    # Only one spelling of each value: neither padding nor spare bits.
    if base64.urlsafe_b64encode(found).rstrip(b"=") != part:
        _refuse(f"the {what} is not in base64url", "base64url")
    return found


def parse_object(raw: bytes, what: str) -> dict[str, Any]:
    """
    Read *raw* as one JSON object; *what* names it in errors.

    Raises:
        MalformedError: It is none, or not in one way only.
    """
    try:
        value = parse_strictly(raw, len(raw), fractions=True, depth=_MAX_DEPTH)
    except MalformedError as e:
        _refuse(f"the {what} is {e}", "json")
    if not isinstance(value, dict):
        _refuse(f"the {what} is no JSON object", "json")
    return value


def _refuse(message: str, reason: str) -> NoReturn:
    msg = f"token: {message}"
    raise MalformedError(msg, reason=reason)


def check_algorithm(jws: Jws, algorithms: Collection[str]) -> str:
    """
    Return the token's algorithm, if it is one of those that are allowed.

    Raises:
        UntrustedError: It is not.
    """
    algorithm: str = jws.header["alg"]
    if algorithm not in algorithms:
        allowed = " or ".join(sorted(algorithms))
        msg = f"token: alg is {shorten(algorithm, 40)}, expected {allowed}"
        raise UntrustedError(msg, reason="algorithm")
    return algorithm


def is_signed(
    jws: Jws, key: RSAKey | ECKey, algorithms: Collection[str]
) -> bool:
    """
    Tell whether *key* signed the token, by one of the *algorithms*.

    Raises:
        UntrustedError: Its algorithm is none of them.
    """
    name = check_algorithm(jws, algorithms)
    algorithm = JWSRegistry(algorithms=[name]).get_alg(name)
    try:
        algorithm.check_key(key)
        return algorithm.verify(jws.signed, jws.signature, key)
    except (JoseError, ValueError):
        return False  # a key of another kind, or no such signature


def check_dates(
    values: dict[str, Any], now: float, leeway: float
) -> tuple[float, float]:
    """
    Check that a token with these claims is valid *now* (RFC 7519, 4.1.4 to
    4.1.6), give or take *leeway*; all in seconds.  Return when it was issued,
    if it says so, and when it ends.

    Raises:
        MalformedError: An instant is missing or none.
        UntrustedError: The token is expired, or not valid yet.
    """
    expires = _instant(values, "exp")
    begins = _instant(values, "nbf") if "nbf" in values else now
    issued = _instant(values, "iat") if "iat" in values else begins
    if now >= expires + leeway:
        msg = f"token: expired at {expires:.0f}, and it is {now:.0f}"
        raise UntrustedError(msg, reason="expired")
    if now < max(begins, issued) - leeway:
        begins = max(begins, issued)
        msg = f"token: valid from {begins:.0f}, and it is {now:.0f}"
        raise UntrustedError(msg, reason="not-yet-valid")
    return issued, expires


#: The year 9999; what is later is no instant.
_LAST: Final = 253_402_300_799


def _instant(values: dict[str, Any], name: str) -> float:
    value: Any = values.get(name)
    if type(value) in {int, float} and 0 <= value <= _LAST:
        return float(value)
    _refuse(f"{name} is {shorten(value, 40)}, expected an instant", name)
