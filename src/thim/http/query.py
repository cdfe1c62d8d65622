"""
Query strings as the clients write them.
"""

from __future__ import annotations

import urllib.parse

from thim.errors import ParameterError


def parse_query(raw: bytes) -> dict[str, str]:
    """
    Split a query string; of a repeated name the first value counts.

    A ``+`` stays a plus: Azure's client sends base64 as it is, and none sends
    a space.

    Raises:
        ParameterError: Escapes that are not UTF-8.
    """
    found: dict[str, str] = {}
    for part in raw.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        if name:
            found.setdefault(_unquote(name), _unquote(value))
    return found


def _unquote(text: str) -> str:
    try:
        return urllib.parse.unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ParameterError(
            "query", text, "expected percent-encoded UTF-8"
        ) from None
