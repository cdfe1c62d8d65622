"""
The documents beside platforms in what ``pccsadmin put`` takes.

PCCS and its tools parse Intel's documents and write them out again, with
white space between the members.  Nobody signed that, so it is taken out: what
is left is what Intel's own verifier (QVL) verifies.
"""

from __future__ import annotations

import urllib.parse

from typing import TYPE_CHECKING, Final

import msgspec


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.services.json_pieces import Piece

_COLLATERALS: Final = "collaterals"
_TCB_INFOS: Final = "tcbinfos"
#: Members that hold documents or groups of them; `tcbinfos` are apart.
_MEMBERS: Final = frozenset(
    {
        "certificates",
        "pckcacrl",
        "rootcacrl",
        *(
            f"{kind}{update}"
            for kind in ("qeidentity", "tdqeidentity", "qveidentity")
            for update in ("", "_early")
        ),
    }
)


def find_documents(piece: Piece) -> Iterator[tuple[str, bytes]]:
    """
    Take the documents out of a *piece*, each with its name.
    """
    if piece.path[:1] != (_COLLATERALS,):
        return
    name = piece.path[-1]
    if name == _TCB_INFOS:
        yield from _named(f"{name} on line {piece.line}", _members(piece.raw))
    elif name in _MEMBERS:
        yield from _find(name, piece.raw)


def _find(name: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    if raw[:1] == b"{":
        for member, value in _members(raw).items():
            yield from _find(f"{name}/{member}", value)
    elif raw[:1] == b'"' and (body := _text(raw)):
        yield name, body


def _named(name: str, found: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for member, value in found.items():
        if value[:1] == b"{":
            yield f"{name}/{member}", compact(value)


def _members(raw: bytes) -> dict[str, bytes]:
    try:
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return {name: bytes(value).strip() for name, value in found.items()}


def _text(raw: bytes) -> bytes:
    try:
        text = msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, ValueError):
        return b""
    return read_text(text.encode("utf-8", "replace"))


def read_text(text: bytes) -> bytes:
    """
    Read a document as PCCS keeps it: a PEM chain percent-encoded, JSON, or
    hexadecimal digits.
    """
    if text.startswith(b"-----BEGIN%20"):
        return urllib.parse.unquote_to_bytes(text)
    return compact(text) if text[:1] == b"{" else text


def compact(raw: bytes) -> bytes:
    """
    Take the white space between the members out of JSON; what is no JSON
    stays as it is.
    """
    try:
        return msgspec.json.format(raw, indent=-1)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return raw
