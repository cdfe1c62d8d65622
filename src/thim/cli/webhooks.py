"""
How webhooks are written in a configuration: a list of tables, ``[[webhooks]]``.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import re
import urllib.parse

from typing import TYPE_CHECKING, Any, Final

from thim.cli.values import duration, parse_file, parse_text
from thim.errors import OperatorError, shorten
from thim.services.secrets import read_provided_secret
from thim.upstream.addresses import is_allowed, parse_address
from thim.upstream.webhook import Webhook


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thim.upstream.addresses import Network

_MOST: Final = 16
_NAME: Final = re.compile("[a-z0-9](?:[a-z0-9-]{0,62})")
_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    r"(?::[1-9]\d{0,4})?(?:[/?][A-Za-z0-9._~/%!$&'()*+,;=:@?-]*)?",
    re.ASCII,
)
_PREFIX: Final = b"whsec_"
#: What the Standard Webhooks specification asks for; more does no harm.
_LEAST_SECRET: Final = 24
_MOST_SECRET: Final = 512
#: Wider ones are slips: they would allow everything.
_WIDEST: Final = {4: 8, 6: 7}


def parse_webhooks(value: object) -> tuple[Webhook, ...]:
    """
    Take a list of tables, or ``none``.
    """
    if value == "none":
        return ()
    if not isinstance(value, list) or not 0 < len(value) <= _MOST:
        msg = f"expected 1 to {_MOST} tables [[webhooks]] in the file"
        raise ValueError(msg)
    found: list[Webhook] = []
    for n, each in enumerate(value, 1):
        try:
            found.append(_parse(each))
            _check_new(found)
        except ValueError as e:
            msg = f"webhook {n}: {e}"
            raise ValueError(msg) from None
    return tuple(found)


def _check_new(found: list[Webhook]) -> None:
    *others, last = (hook.name for hook in found)
    if last in others:
        msg = f"name: got {last!r} again, expected another in each"
        raise ValueError(msg)


def _parse(table: object) -> Webhook:
    if not isinstance(table, dict):
        msg = "expected a table"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for a bad value
    found: dict[str, Any] = {}
    for name, value in table.items():
        field, parse = _field(name)
        try:
            found[field] = parse(value)
        except ValueError as e:
            got = "" if name in _UNQUOTED else f"got {shorten(value)}, "
            msg = f"{name}: {got}{e}"
            raise ValueError(msg) from None
    for name in ("name", "url", "secret_file"):
        if name not in table:
            msg = f"expected a {name} in each"
            raise ValueError(msg)
    hook = Webhook(**found)
    _check_place(hook)
    return hook


def _field(name: str) -> tuple[str, Callable[[object], object]]:
    if name not in _FIELDS:
        near = difflib.get_close_matches(name, _FIELDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        msg = f"expected no key {name!r}{hint}"
        raise ValueError(msg)
    return _FIELDS[name]


def _check_place(hook: Webhook) -> None:
    """Refuse now what could only be refused later, each time."""
    if hook.is_plain and not hook.networks:
        msg = "url: expected https://, or the host's network in allow"
        raise ValueError(msg)
    try:
        address = parse_address(hook.host)
    except ValueError:
        return  # a name
    if not is_allowed(address, hook.networks, only_listed=hook.is_plain):
        msg = f"url: {address} is not public: expected its network in allow"
        if hook.is_plain:
            msg = f"url: expected https://, or {address} in allow"
        raise ValueError(msg)


def _parse_name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        msg = "expected 1 to 63 of a-z, 0-9 and -"
        raise ValueError(msg)
    return value


def _parse_url(value: object) -> str:
    url = parse_text(value).strip()
    if "@" in urllib.parse.urlsplit(url).netloc:
        msg = "expected no user and no password: a signature says who we are"
        raise ValueError(msg)
    if not _URL.fullmatch(url) or not _is_port(url):
        msg = "expected https://HOST/PATH"
        raise ValueError(msg)
    return url


def _is_port(url: str) -> bool:
    try:
        _ = urllib.parse.urlsplit(url).port
    except ValueError:
        return False
    return True


def _parse_secret_file(value: object) -> bytes:
    path = parse_file(value)
    try:
        content = read_provided_secret(path).strip()
    except OperatorError as e:
        raise ValueError(str(e)) from None
    secret = _decode(content)
    if not _LEAST_SECRET <= len(secret) <= _MOST_SECRET:
        msg = (
            f"expected a file with whsec_ and base64, or plain text, of "
            f"{_LEAST_SECRET} to {_MOST_SECRET} bytes"
        )
        raise ValueError(msg)
    return secret


def _decode(content: bytes) -> bytes:
    if not content.startswith(_PREFIX):
        return content
    try:
        return base64.b64decode(content.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        return b""


def _parse_networks(value: object) -> tuple[Network, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        listed = [None]
    return tuple(map(_parse_network, listed))


def _parse_network(value: object) -> Network:
    try:
        network = ipaddress.ip_network(parse_text(value))
    except ValueError:
        msg = "expected networks such as 10.1.0.0/16 or fd00:1::/64"
        raise ValueError(msg) from None
    if network.prefixlen < _WIDEST[network.version]:
        msg = "expected smaller networks: /8 at most, of IPv6 /7"
        raise ValueError(msg)
    return network


_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], object]]]] = {
    "name": ("name", _parse_name),
    "url": ("url", _parse_url),
    "secret_file": ("secret", _parse_secret_file),
    "allow": ("networks", _parse_networks),
    "ca_file": ("ca_file", parse_file),
    "timeout": ("timeout", duration("100ms", "30s")),
}
#: What is a secret, or may hold one by mistake; it must not be in an error.
_UNQUOTED: Final = frozenset({"url", "secret_file"})
