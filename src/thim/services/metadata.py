"""
Who may ask the link-local metadata service: a guest's own programs, and neither
a page in its browser nor what somebody passes on.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import secrets

from typing import TYPE_CHECKING, Final

from thim.errors import ParameterError


if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    Headers = Sequence[tuple[bytes, bytes]]

_HOST: Final = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::[0-9]{1,5})?")
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~-]{1,128}")


def check_is_guest(headers: Headers, names: Collection[str]) -> None:
    """
    Check that a request with these *headers* (names in lower case) comes from
    a program in a guest.

    1. It has ``Metadata: true``, once and in any case: nobody sends it by
       mistake, nor can a page in a browser.
    2. It came by no detour (`check_is_direct`).

    Raises:
        ParameterError: One of them does not hold.
    """
    said = _find(headers, "Metadata")
    if said.strip().lower() != b"true":
        raise _refusal("Metadata", said, "expected the header true")
    check_is_direct(headers, names)


def check_is_direct(headers: Headers, names: Collection[str]) -> None:
    """
    Check that a request with these *headers* came by no detour.

    1. Nobody has passed it on: there is no ``X-Forwarded-For``.
    2. There is one ``Host``, and it is an address, localhost, or one of
       *names* (lower case): a name of a stranger's may lead here too.

    Raises:
        ParameterError: One of them does not hold.
    """
    for name, passed_on in headers:
        if name == b"x-forwarded-for":
            expected = "expected no such header"
            raise _refusal("X-Forwarded-For", passed_on, expected)
    host = _find(headers, "Host")
    if not is_own_host(host.decode("latin-1"), names):
        expected = "expected an address, or a name of this service"
        raise _refusal("Host", host, expected)


def is_own_host(host: str, names: Collection[str]) -> bool:
    """
    Tell whether *host*, with or without a port, is an address, localhost or
    one of *names*.
    """
    match = _HOST.fullmatch(host.strip())
    if match is None:
        return False
    bracketed, plain = match.groups()
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(bracketed if plain is None else plain)
        return True
    return (plain or "").lower() in {"localhost", *names}


def _find(headers: Headers, name: str) -> bytes:
    key = name.lower().encode()
    found = [value for sent, value in headers if sent == key]
    # Of two of them a proxy may have looked at the other one.
    if len(found) > 1:
        raise _refusal(name, b", ".join(found), "expected it once")
    return found[0] if found else b""


def _refusal(name: str, value: bytes, expected: str) -> ParameterError:
    return ParameterError(name, value.decode("latin-1"), expected)


def choose_request_id(sent: bytes) -> bytes:
    """
    Return the ``Request-ID`` of an answer: the one that the client *sent*, if
    it is usable, or a new one.
    """
    if _REQUEST_ID.fullmatch(sent):
        return sent
    return secrets.token_hex(16).encode("ascii")
