"""
The cookie in which a browser keeps a session, as it is sent.

Browsers keep the cookies of a host name together, whatever the port.  So that
services of one host name do not end each other's sessions, a cookie's name has
the ID of the key that it is sealed with: all workers and nodes that open it
find it by that.
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


def _name(scope: Scope, key_id: str) -> str:
    # Over TLS, browsers take one of this name over TLS only.
    prefix = "__Secure-" if scope["scheme"] == "https" else ""
    return f"{prefix}thim-console-{key_id}"


def set_cookie(scope: Scope, key_id: str, value: str, more: str = "") -> Header:
    """
    Return the header by which a browser keeps *value*, sealed with the key of
    this ID; *more* are further attributes.
    """
    secure = "; Secure" if scope["scheme"] == "https" else ""
    text = (
        f"{_name(scope, key_id)}={value}; Path={BASE}; HttpOnly; "
        f"SameSite=Strict{secure}{more}"
    )
    return b"set-cookie", text.encode("ascii")


def read_cookies(scope: Scope, key_id: str) -> Iterator[str]:
    """
    Find the values that a browser has kept which the key of this ID may have
    sealed; there may be others among them, set by somebody else.
    """
    name = _name(scope, key_id)
    for header, value in scope["headers"]:
        if header == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, text = part.strip().partition("=")
                if key == name:
                    yield text
