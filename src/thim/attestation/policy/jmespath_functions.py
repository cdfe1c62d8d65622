"""
The functions of JMESPath, as its specification has them.

One is not in it: ``equals_ignore_case``, which Azure's samples use.
"""

from __future__ import annotations

import dataclasses
import math
import re

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.policy.errors import PolicyEvaluationError
from thim.attestation.policy.jmespath_values import (
    are_equal,
    is_number,
    type_of,
)
from thim.attestation.policy.json_text import Json, write_json


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thim.attestation.policy.jmespath_values import Run
    from thim.attestation.policy.limits import Meter

_NUMBER: Final = re.compile(
    r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"
)
_CHARACTERS_PER_STEP: Final = 64
_STEPS_PER_NUMBER: Final = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """
    A function: *run* takes its arguments, and a meter at the end.

    It takes *least* arguments, and as many as it is given if *variadic*.
    """

    name: str
    least: int
    variadic: bool
    run: Callable[..., Json]


#: Which argument of these is an expression.
EXPRESSIONS: Final = {"map": 0, "max_by": 1, "min_by": 1, "sort_by": 1}


def find_function(name: str, count: int) -> Function | str:
    """
    Find a function for *count* arguments, or return why there is none.
    """
    found = _FUNCTIONS.get(name)
    if found is None:
        return f"there is no function {name[:40]}()"
    if count < found.least or (count > found.least and not found.variadic):
        return f"{name}() takes {found.least} argument(s), not {count}"
    return found


def _check(name: str, value: Json, *types: str) -> None:
    if type_of(value) not in types:
        msg = (
            f"{name}() in a query takes {' or '.join(types)}, "
            f"not {type_of(value)}"
        )
        raise PolicyEvaluationError(msg, reason="policy-query")


def _check_all(name: str, values: Json, *types: str) -> None:
    _check(name, values, "array")
    found = {type_of(each) for each in values}
    if len(found) > 1 or not found.issubset(types):
        msg = f"{name}() in a query takes an array of {' or of '.join(types)}"
        raise PolicyEvaluationError(msg, reason="policy-query")


def _read(values: Json, meter: Meter) -> None:
    """Account for looking at all elements or characters."""
    size = len(values)
    if isinstance(values, str):
        meter.spend(size // _CHARACTERS_PER_STEP)
    else:
        meter.spend(size)


def _copy(values: Sequence[Json], meter: Meter) -> None:
    _read(values, meter)
    if isinstance(values, str):
        meter.make(0, len(values))
    else:
        meter.make(len(values))


def _abs(value: Json, _: Meter) -> Json:
    _check("abs", value, "number")
    return abs(value)


def _ceil(value: Json, _: Meter) -> Json:
    _check("ceil", value, "number")
    return math.ceil(value)


def _floor(value: Json, _: Meter) -> Json:
    _check("floor", value, "number")
    return math.floor(value)


def _sum(values: Json, meter: Meter) -> Json:
    _check("sum", values, "array")
    _read(values, meter)
    _check_all("sum", values, "number")
    total = sum(values)
    if not math.isfinite(total):
        msg = "a query adds up numbers that are too large"
        raise PolicyEvaluationError(msg, reason="policy-query")
    return total


def _avg(values: Json, meter: Meter) -> Json:
    total = _sum(values, meter)
    return total / len(values) if values else None


def _contains(values: Json, wanted: Json, meter: Meter) -> Json:
    _check("contains", values, "array", "string")
    _read(values, meter)
    if isinstance(values, str):
        return isinstance(wanted, str) and wanted in values
    return any(are_equal(each, wanted, meter) for each in values)


def _starts_with(text: Json, part: Json, meter: Meter) -> Json:
    _check("starts_with", text, "string")
    _check("starts_with", part, "string")
    _read(part, meter)
    return text.startswith(part)


def _ends_with(text: Json, part: Json, meter: Meter) -> Json:
    _check("ends_with", text, "string")
    _check("ends_with", part, "string")
    _read(part, meter)
    return text.endswith(part)


def _equals_ignore_case(one: Json, other: Json, meter: Meter) -> Json:
    """Anything but two texts is not equal: samples give it missing members."""
    if not (isinstance(one, str) and isinstance(other, str)):
        return False
    _copy(one, meter)
    _copy(other, meter)
    return one.lower() == other.lower()


def _join(glue: Json, texts: Json, meter: Meter) -> Json:
    _check("join", glue, "string")
    _check("join", texts, "array")
    _read(texts, meter)
    _check_all("join", texts, "string")
    size = sum(map(len, texts)) + len(glue) * len(texts)
    meter.spend(size // _CHARACTERS_PER_STEP)
    meter.make(0, size)
    return glue.join(texts)


def _reverse(values: Json, meter: Meter) -> Json:
    _check("reverse", values, "array", "string")
    _copy(values, meter)
    return values[::-1]


def _length(values: Json, _: Meter) -> Json:
    _check("length", values, "array", "object", "string")
    return len(values)


def _keys(value: Json, meter: Meter) -> Json:
    _check("keys", value, "object")
    _copy(value, meter)
    return list(value)


def _values(value: Json, meter: Meter) -> Json:
    _check("values", value, "object")
    _copy(value, meter)
    return list(value.values())


def _merge(*arguments: Any) -> Json:  # noqa: ANN401 - the meter is the last
    *objects, meter = arguments
    merged: dict[str, Json] = {}
    for each in objects:
        _check("merge", each, "object")
        _copy(each, meter)
        merged |= each
    return merged


def _not_null(*arguments: Any) -> Json:  # noqa: ANN401 - the meter is the last
    return next((each for each in arguments[:-1] if each is not None), None)


def _to_array(value: Json, meter: Meter) -> Json:
    meter.make(1)
    return value if isinstance(value, list) else [value]


def _to_string(value: Json, meter: Meter) -> Json:
    return value if isinstance(value, str) else write_json(value, meter)


def _to_number(value: Json, meter: Meter) -> Json:
    meter.spend(_STEPS_PER_NUMBER)
    if is_number(value):
        return value
    found = isinstance(value, str) and _NUMBER.fullmatch(value)
    if not found:
        return None
    number = float(value) if found[2] or found[3] else int(value)
    return number if math.isfinite(number) else None


def _type(value: Json, _: Meter) -> Json:
    return type_of(value)


def _sort(values: Json, meter: Meter) -> Json:
    _check("sort", values, "array")
    _compare("sort", values, meter)
    meter.make(len(values))
    return sorted(values)


def _max(values: Json, meter: Meter) -> Json:
    _check("max", values, "array")
    _compare("max", values, meter)
    return max(values, default=None)


def _min(values: Json, meter: Meter) -> Json:
    _check("min", values, "array")
    _compare("min", values, meter)
    return min(values, default=None)


def _compare(name: str, values: Json, meter: Meter) -> None:
    """
    Account for as many comparisons as a sort makes, at the length that texts
    have.
    """
    _read(values, meter)
    _check_all(name, values, "number", "string")
    sizes = len(values)
    if values and isinstance(values[0], str):
        sizes += sum(map(len, values)) // _CHARACTERS_PER_STEP
    meter.spend(sizes * len(values).bit_length() // 4)


def _keys_by(name: str, values: Json, key: Run, meter: Meter) -> list[Json]:
    _check(name, values, "array")
    found = [key(each, meter) for each in values]
    _compare(name, found, meter)
    meter.make(2 * len(values))
    return found


def _sort_by(values: Json, key: Run, meter: Meter) -> Json:
    keys = _keys_by("sort_by", values, key, meter)
    order = sorted(range(len(values)), key=keys.__getitem__)
    return [values[index] for index in order]


def _max_by(values: Json, key: Run, meter: Meter) -> Json:
    keys = _keys_by("max_by", values, key, meter)
    if not keys:
        return None
    return values[max(range(len(values)), key=keys.__getitem__)]


def _min_by(values: Json, key: Run, meter: Meter) -> Json:
    keys = _keys_by("min_by", values, key, meter)
    if not keys:
        return None
    return values[min(range(len(values)), key=keys.__getitem__)]


def _map(values: Json, part: Run, meter: Meter) -> Json:
    _check("map", values, "array")
    meter.make(len(values))
    return [part(each, meter) for each in values]


_VARIADIC: Final = ("merge", "not_null")
_FUNCTIONS: Final = {
    name: Function(name, least, name in _VARIADIC, run)
    for name, least, run in (
        ("abs", 1, _abs),
        ("avg", 1, _avg),
        ("ceil", 1, _ceil),
        ("contains", 2, _contains),
        ("ends_with", 2, _ends_with),
        ("equals_ignore_case", 2, _equals_ignore_case),
        ("floor", 1, _floor),
        ("join", 2, _join),
        ("keys", 1, _keys),
        ("length", 1, _length),
        ("map", 2, _map),
        ("max", 1, _max),
        ("max_by", 2, _max_by),
        ("merge", 1, _merge),
        ("min", 1, _min),
        ("min_by", 2, _min_by),
        ("not_null", 1, _not_null),
        ("reverse", 1, _reverse),
        ("sort", 1, _sort),
        ("sort_by", 2, _sort_by),
        ("starts_with", 2, _starts_with),
        ("sum", 1, _sum),
        ("to_array", 1, _to_array),
        ("to_number", 1, _to_number),
        ("to_string", 1, _to_string),
        ("type", 1, _type),
        ("values", 1, _values),
    )
}
