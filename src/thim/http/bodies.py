"""
Bodies of requests: JSON by what is said of them, bounded before they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from thim.errors import MalformedError, ParameterError
from thim.intel.strict_json import parse_strictly


if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import Receive, Scope

T = TypeVar("T")

_JSON: Final = "application/json"


class TooLargeError(MalformedError):
    """A body over the limit."""

    default_reason = "body-too-large"


async def read_body(
    scope: Scope,
    receive: Receive,
    most: int,
    kinds: Collection[str] = (_JSON,),
) -> bytes:
    """
    Return the body of a request of *most* bytes, which is JSON by what is said
    of it, or of one of these *kinds*.

    Raises:
        ParameterError: It is said to be something else.
        TooLargeError: It is larger.
        MalformedError: It is cut off.
    """
    _check_type(scope, kinds)
    found = bytearray()
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] != "http.request":
            msg = "the body was cut off"
            raise MalformedError(msg, reason="body")
        found += message.get("body", b"")
        if len(found) > most:
            msg = f"expected at most {most} bytes"
            raise TooLargeError(msg)
        has_more = message.get("more_body", False)
    return bytes(found)


def _check_type(scope: Scope, kinds: Collection[str]) -> None:
    headers = dict(scope["headers"])
    expected = {"content-type": kinds, "content-encoding": ("identity",)}
    for name, values in expected.items():
        text = headers.get(name.encode(), b"").decode("latin-1")
        found = text.partition(";")[0].strip().lower()
        is_silent = not found and name == "content-encoding"
        if found not in values and not is_silent:
            raise ParameterError(name, text, f"expected {' or '.join(values)}")


def decode(raw: bytes, kind: type[T]) -> T:
    """
    Read *raw* as one *kind*.

    Raises:
        MalformedError: It is none.
    """
    parse_strictly(raw, most=len(raw))
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as e:
        raise MalformedError(str(e), reason="body") from e
