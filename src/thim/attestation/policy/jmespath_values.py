"""
What JMESPath says of JSON values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias


if TYPE_CHECKING:
    from collections.abc import Callable

    from thim.attestation.policy.json_text import Json
    from thim.attestation.policy.limits import Meter

    Run: TypeAlias = Callable[[Json, Meter], Json]

#: Equal texts are compared so fast.
CHARACTERS_PER_STEP: Final = 1024
_STEPS_PER_ELEMENT: Final = 4


def is_false(value: Json) -> bool:
    """
    Say whether *value* counts as false: 0 does not.
    """
    return value is None or value is False or value in ("", [], {})


def is_number(value: Json) -> bool:
    """
    Say whether *value* is a number: true is none.
    """
    return value.__class__ is int or value.__class__ is float


def type_of(value: Json) -> str:
    """
    Return JMESPath's name for the type of *value*.
    """
    return _TYPES[value.__class__]


_TYPES: Final = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def are_equal(one: Json, other: Json, meter: Meter) -> bool:
    """
    Say whether two values are equal, in depth: 1 is 1.0, but not true.
    """
    if one.__class__ is not other.__class__:
        return is_number(one) and is_number(other) and one == other
    if one.__class__ is str:
        meter.spend(len(one) // CHARACTERS_PER_STEP)
        return bool(one == other)
    if one.__class__ is list:
        meter.spend(_STEPS_PER_ELEMENT * len(one))
        return len(one) == len(other) and all(
            are_equal(a, b, meter) for a, b in zip(one, other, strict=True)
        )
    if one.__class__ is dict:
        meter.spend(_STEPS_PER_ELEMENT * len(one))
        return one.keys() == other.keys() and all(
            are_equal(each, other[name], meter) for name, each in one.items()
        )
    return bool(one == other)
