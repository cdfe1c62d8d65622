"""
JSON as the functions of policies read and write it: strictly, on a budget.
"""

from __future__ import annotations

import json
import math
import re

from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from thim.attestation.policy.errors import PolicyEvaluationError
from thim.attestation.policy.limits import MAX_NESTING
from thim.errors import shorten


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.attestation.policy.limits import Meter

Json: TypeAlias = Any

#: Half a character's escape, which may lack its other half.
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_MOST_DIGITS: Final = 64
_MANY_DIGITS: Final = re.compile(r"[0-9]{65}")
_BITS_PER_DIGIT: Final = 3
_CHARACTERS_PER_STEP: Final = 16
#: An object takes a call of ours, other elements do not.
_STEPS_PER_OBJECT: Final = 4
_SHORTEST: Final = 4


def read_json(text: str, meter: Meter) -> Json:
    """
    Read *text* as one JSON value.

    Raises:
        PolicyEvaluationError: It is none, has duplicate keys, or takes more
            than *meter* has.
    """
    lists, objects = text.count("["), text.count("{")
    elements = lists + objects + text.count(",") + 1
    meter.make(elements)
    meter.spend(
        elements
        + objects * _STEPS_PER_OBJECT
        + len(text) // _CHARACTERS_PER_STEP
    )
    value = _decode(text)
    if lists + objects > MAX_NESTING:
        _check_depth(value)
    return value


def _decode(text: str) -> Json:
    try:
        decoder = _CAREFUL if _MANY_DIGITS.search(text) else _DECODER
        value = decoder.decode(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as e:
        msg = f"{shorten(text, 40)} is not JSON: {e}"
        raise PolicyEvaluationError(msg, reason="policy-json") from None
    return value


def _pairs(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key stands twice in one object"
        raise ValueError(msg)
    return found


def _float(text: str) -> float:
    number = float(text) if len(text) <= _MOST_DIGITS else math.inf
    if math.isinf(number):
        _refuse(text)
    return number


def _integer(text: str) -> int:
    return int(text) if len(text) <= _MOST_DIGITS else _refuse(text)


def _refuse(text: str) -> NoReturn:
    msg = f"the number {text[:40]} cannot be used"
    raise ValueError(msg)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_float=_float,
    parse_constant=_refuse,
)
#: The same where an integer may be so long that converting it takes its time.
_CAREFUL: Final = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_float=_float,
    parse_int=_integer,
    parse_constant=_refuse,
)


def _check_depth(value: Json) -> None:
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            child
            for parent in level
            for child in _children(parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    msg = f"JSON is nested more than {MAX_NESTING} deep"
    raise PolicyEvaluationError(msg, reason="policy-json")


def _children(value: Json) -> Sequence[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def write_json(value: Json, meter: Meter) -> str:
    """
    Write *value* in the shortest way, members in the order that they have.

    Raises:
        PolicyEvaluationError: It takes more than *meter* has, or there is no
            JSON for a number in it.
    """
    meter.make(0, _measure(value, meter))
    try:
        return _ENCODER.encode(value)
    except (ValueError, RecursionError) as e:
        msg = f"a value cannot be written as JSON: {e}"
        raise PolicyEvaluationError(msg, reason="policy-json") from None


_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False,
    allow_nan=False,
    check_circular=False,
    separators=(",", ":"),
)


def _measure(value: Json, meter: Meter) -> int:
    """
    Return about how many characters *value* takes: parts that it shares count
    each time, since they are written each time.
    """
    size = 0
    waiting = [value]
    while waiting:
        meter.spend(1)
        each = waiting.pop()
        size += _own_size(each)
        if isinstance(each, dict):
            size += sum(map(len, each))
            meter.spend(len(each))
            waiting += each.values()
        elif isinstance(each, list):
            meter.spend(len(each))
            waiting += each
    meter.spend(size // _CHARACTERS_PER_STEP)
    return size


def _own_size(value: Json) -> int:
    if isinstance(value, str):
        return len(value) + _SHORTEST
    if isinstance(value, int):
        return value.bit_length() // _BITS_PER_DIGIT + _SHORTEST
    return _SHORTEST
