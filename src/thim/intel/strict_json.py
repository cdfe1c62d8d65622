"""
JSON as a verifier must read it: no duplicate keys, no surprises.

Two readers that disagree about one document are how signed data is forged
around a verifier, so what JSON leaves open is refused here: duplicate keys,
numbers that are not integers, text after the end, invalid UTF-8, deep nesting
(32 levels, as in Intel's QVL 1.27).  Where customers write what they like,
fractions are allowed.
"""

from __future__ import annotations

import collections
import json
import math

from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import msgspec

from thim.errors import MalformedError, shorten


if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_JSON_SIZE: Final = 512 * 1024
MAX_DEPTH: Final = 32
_WHITESPACE: Final = b" \t\r\n"

T = TypeVar("T")


def parse_strictly(
    raw: bytes,
    most: int = MAX_JSON_SIZE,
    *,
    fractions: bool = False,
    depth: int = MAX_DEPTH,
    parts: int | None = None,
) -> object:
    """
    Read *raw*, of *most* bytes, as one JSON value.

    With *fractions* numbers need not be integers; nesting is at most *depth*
    levels.  Of what strangers send, no more than *parts* members and elements
    are looked at: so many small values take a hundred times as long to read
    as one of the same size.

    Raises:
        MalformedError: Too large, not UTF-8, not JSON, or one of the things
            that this module refuses.
    """
    if len(raw) > most:
        msg = f"JSON of {len(raw)} bytes, expected at most {most}"
        raise MalformedError(msg, reason="too-large")
    if parts is not None and _count_parts(raw) > parts:
        msg = f"JSON of more than {parts} members and elements"
        raise MalformedError(msg, reason="too-large")
    decoder = _FRACTIONS_TOO if fractions else _DECODER
    try:
        value = decoder.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError) as e:
        msg = f"not JSON: {e}"
        raise MalformedError(msg, reason="json") from e
    _check_depth(value, depth)
    return value


def _count_parts(raw: bytes) -> int:
    # Each has one of these before it; a text may have some besides.
    return sum(map(raw.count, (b"[", b"{", b",")))


def convert(value: object, kind: type[T], what: str) -> T:
    """
    Make the parsed *value* into a *kind*; *what* names it in errors.

    Raises:
        MalformedError: A field is missing or of another type.
    """
    try:
        return msgspec.convert(value, kind, strict=True)
    except (msgspec.ValidationError, OverflowError) as e:
        msg = f"{what}: {e}"
        raise MalformedError(msg, reason="fields") from e


def members(raw: bytes) -> dict[str, bytes]:
    """
    Split the JSON object *raw* into its members, each as its exact bytes.

    White space around a member's value belongs to the object, not to it.

    Raises:
        MalformedError: Not an object, or refused by ``parse_strictly``.
    """
    if not isinstance(parse_strictly(raw), dict):
        msg = "JSON is not an object"
        raise MalformedError(msg, reason="json")
    try:
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as e:
        msg = f"not JSON: {e}"
        raise MalformedError(msg, reason="json") from e
    return {k: bytes(v).strip(_WHITESPACE) for k, v in found.items()}


def _pairs(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = collections.Counter(name for name, _ in pairs)
        ((twice, _),) = counts.most_common(1)
        msg = f"key {shorten(twice, 40)} stands twice in one object"
        raise ValueError(msg)
    return found


def _refuse_number(text: str) -> NoReturn:
    msg = f"number {text[:40]} is not an integer"
    raise ValueError(msg)


def _read_fraction(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = f"number {text[:40]} is too large"
        raise ValueError(msg)
    return value


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_float=_refuse_number,
    parse_constant=_refuse_number,
)
_FRACTIONS_TOO: Final = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_float=_read_fraction,
    parse_constant=_refuse_number,
)


def _check_depth(value: object, depth: int) -> None:
    level: list[object] = [value]
    for _ in range(depth + 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    msg = f"JSON is nested more than {depth} deep"
    raise MalformedError(msg, reason="json")


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
