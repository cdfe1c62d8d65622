"""
Requests as they are recorded: without what tells machines apart.

Encrypted PPIDs and platform manifests belong to one machine and are nobody
else's business.  Of them, and of anything else that is long, the record holds
the length and the beginning of a SHA-256.
"""

from __future__ import annotations

import hashlib
import urllib.parse

from typing import TYPE_CHECKING, Final

import msgspec


if TYPE_CHECKING:
    from collections.abc import Iterable

_SECRET: Final = frozenset(
    {"encrypted_ppid", "enc_ppid", "platformmanifest", "platform_manifest"}
)
_LONGEST: Final = 128


def redact_query(raw: str) -> str:
    """
    Return a query without secrets, otherwise as it came.
    """
    pairs = (piece.partition("=") for piece in raw.split("&"))
    return "&".join(
        _short(name) + equals + _value(urllib.parse.unquote_plus(name), value)
        for name, equals, value in pairs
    )


def redact_body(body: bytes | None) -> str:
    """
    Return a body in the same form: the members of a JSON object, else all of
    it in short.  None is one that was too large to be read.
    """
    if body is None:
        return "too large"
    try:
        written = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _digest(body) if body else ""
    return "&".join(_members(written.items()))


def _members(items: Iterable[tuple[str, object]]) -> Iterable[str]:
    for name, value in items:
        text = value if isinstance(value, str) else repr(value)
        is_plain = isinstance(value, str | int | float | None)
        told = _value(name, text) if is_plain else _digest(_encode(text))
        yield f"{_short(name)}={told}"


def _value(name: str, value: str) -> str:
    if value and name.lower() in _SECRET:
        return _digest(_encode(value))
    return _short(value)


def _short(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return _digest(_encode(text))


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _digest(value: bytes) -> str:
    return f"{len(value)}:{hashlib.sha256(value).hexdigest()[:12]}"
