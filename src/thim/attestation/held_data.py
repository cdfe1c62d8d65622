"""
What an enclave or a guest holds and lets its evidence speak for: data of a
client's own, as bytes or as a JSON object.

An object goes into the token, so it is read so strictly that everybody who
reads the token, or the very bytes, finds the same in it.
"""

from __future__ import annotations

import dataclasses

from typing import Any, Final

from thim.errors import MalformedError
from thim.intel.strict_json import parse_strictly


MAX_HELD_SIZE: Final = 256 * 1024
#: Members and elements of an object.
MOST_PARTS: Final = 32 * 1024
#: What readers of JSON hold in a machine word.
_LEAST_INTEGER: Final = -(2**63)
_MOST_INTEGER: Final = 2**64 - 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldData:
    """
    Data that evidence is bound to by their digest.

    Attributes:
        data: The very bytes.
        is_json: Whether they are a JSON object.
        value: That object with its keys in order at all levels, as it goes
            into the token; None for other bytes.

    Raises:
        MalformedError: They should be a JSON object and are none, or one that
            could be read in two ways.
    """

    data: bytes
    is_json: bool
    value: dict[str, Any] | None = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        value = _read_object(self.data) if self.is_json else None
        object.__setattr__(self, "value", value)


def _read_object(data: bytes) -> dict[str, Any]:
    value = parse_strictly(
        data, MAX_HELD_SIZE, fractions=True, parts=MOST_PARTS
    )
    if not isinstance(value, dict):
        msg = f"JSON is of type {_name_type(value)}, expected an object"
        raise MalformedError(msg, reason="json")
    ordered: dict[str, Any] = _order(value)
    return ordered


def _order(value: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    if isinstance(value, dict):
        return {_check_text(key): _order(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_order(each) for each in value]
    if isinstance(value, str):
        return _check_text(value)
    if isinstance(value, int):
        _check_integer(value)
    return value


def _check_text(text: str) -> str:
    if not is_text(text):
        msg = "JSON has a string with half a character (a lone surrogate)"
        raise MalformedError(msg, reason="json")
    return text


def is_text(text: str) -> bool:
    """
    Tell whether *text* can be written in UTF-8.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _check_integer(value: int) -> None:
    if not _LEAST_INTEGER <= value <= _MOST_INTEGER:
        msg = "JSON has an integer of more than 64 bits"
        raise MalformedError(msg, reason="json")


def _name_type(value: object) -> str:
    if isinstance(value, list):
        return "array"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "boolean" if isinstance(value, bool) else "number"
