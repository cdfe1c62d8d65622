"""
How each kind of value is written in the agent's configuration, besides those
that the service's has (``thim.cli.values``).
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse

from typing import TYPE_CHECKING, Final

from thim.agent.chip import Chip, Source
from thim.agent.identity import CHIP_ID_SIZE, Declared, parse_tcbm
from thim.amd.tcb import ProductLine
from thim.cli.values import parse_path, parse_text
from thim.errors import MalformedError, printable


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thim.agent.networks import Network

_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
    r"(?:/[A-Za-z0-9._~/%-]*)?",
    re.ASCII,
)
_INTERFACE: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
_HEX: Final = re.compile("(?:[0-9A-Fa-f]{16}|[0-9A-Fa-f]{128})")
_LONGEST_TEXT: Final = 200


def parse_url(value: object) -> str:
    """
    Take the base URL of a service, a slash at the end or not.
    """
    text = value if isinstance(value, str) else ""
    try:
        port = urllib.parse.urlsplit(text).port
    except ValueError:
        port = 0
    if not _URL.fullmatch(text) or port == 0:
        msg = "expected a URL such as https://thim.example:8443"
        raise ValueError(msg)
    return text.rstrip("/")


def parse_pass_through(value: object) -> str | None:
    """
    Take the same, or false.
    """
    if value is False or value == "false":
        return None
    return parse_url(value)


def parse_networks(value: object) -> tuple[Network, ...]:
    """
    Take a list of networks, or in one text with commas between them.
    """
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list):
        listed = [None]
    try:
        return tuple(
            ipaddress.ip_network(parse_text(each).strip()) for each in listed
        )
    except ValueError as e:
        msg = f"expected networks such as 10.0.0.0/24 ({e})"
        raise ValueError(msg) from None


def parse_line(value: object) -> str:
    """
    Take a short text.
    """
    text = parse_text(value)
    if len(text) > _LONGEST_TEXT or printable(text) != text:
        msg = f"expected up to {_LONGEST_TEXT} printable characters"
        raise ValueError(msg)
    return text


def parse_interface(value: object) -> str:
    """
    Take the name of an interface.
    """
    text = parse_text(value)
    if not _INTERFACE.fullmatch(text) or text.startswith("-"):
        msg = "expected the name of an interface"
        raise ValueError(msg)
    return text


_PATHS: Final = {source.value: source for source in Source}
_DECLARED: Final = ("product", "chip_id", "tcb")


def parse_chip(value: object) -> Chip | None:
    """
    Take a table that names one source of the chip's identity, and what is
    declared of it; or the same in one text, such as ``report=/path``, with
    commas between them; or none.
    """
    if value == "none":
        return None
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",")]
        is_whole = all(equals for _, equals, _ in pairs)
        value = {name.strip(): text.strip() for name, _, text in pairs}
        value = value if is_whole else None
    if not isinstance(value, dict) or value.keys() - {*_PATHS, *_DECLARED}:
        msg = (
            f"expected a table with one of {', '.join(_PATHS)}, or with "
            f"{', '.join(_DECLARED)}; or the same as NAME=VALUE; or none"
        )
        raise ValueError(msg)
    declared = _parse_declared(value)
    named = [name for name in _PATHS if name in value]
    if len(named) > 1:
        msg = f"expected one source, got {' and '.join(named)}"
        raise ValueError(msg)
    if named:
        (name,) = named
        path = parse_path(value[name])
        return Chip(source=_PATHS[name], path=path, declared=declared)
    if declared.chip_id is None or declared.tcb is None:
        msg = "expected chip_id and tcb where there is no source"
        raise ValueError(msg)
    return Chip(declared=declared)


def _parse_declared(table: Mapping[str, object]) -> Declared:
    product = chip_id = tcb = None
    if "product" in table:
        try:
            product = ProductLine.from_name(parse_text(table["product"]))
        except MalformedError as e:
            raise ValueError(str(e)) from None
    if "chip_id" in table:
        text = parse_text(table["chip_id"])
        if not _HEX.fullmatch(text):
            msg = "expected a chip_id of 128 hexadecimal digits (Turin: or 16)"
            raise ValueError(msg)
        chip_id = bytes.fromhex(text).ljust(CHIP_ID_SIZE, b"\0")
    if "tcb" in table:
        tcb = parse_tcbm(parse_text(table["tcb"]))
    return Declared(product=product, chip_id=chip_id, tcb=tcb)
