"""
The cookie in which a browser keeps a session, as it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeAlias


if TYPE_CHECKING:
    from starlette.types import Scope

#: Name and value.
Header: TypeAlias = tuple[bytes, bytes]

#: Below it the cookie is sent.
BASE: Final = "/console/"
_COOKIE: Final = "thim-console"


def _name(scope: Scope) -> str:
    # Over TLS, browsers take one of this name over TLS only.
    return f"__Secure-{_COOKIE}" if scope["scheme"] == "https" else _COOKIE


def set_cookie(scope: Scope, value: str, more: str = "") -> Header:
    """
    Return the header by which a browser keeps *value*; *more* are further
    attributes.
    """
    secure = "; Secure" if scope["scheme"] == "https" else ""
    text = (
        f"{_name(scope)}={value}; Path={BASE}; HttpOnly; SameSite=Strict"
        f"{secure}{more}"
    )
    return b"set-cookie", text.encode("ascii")


def read_cookies(scope: Scope) -> Iterator[str]:
    """
    Find the values that a browser has kept for us; there may be others among
    them, set by another service of this host's name.
    """
    name = _name(scope)
    for header, value in scope["headers"]:
        if header == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, text = part.strip().partition("=")
                if key == name:
                    yield text
