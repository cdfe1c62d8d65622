"""
The functions of version 1.2.

What an argument yields is a set: the values of all claims that an identifier
binds, or of an array.  A function of single values is applied to each of them,
with several arguments to each combination, and to nothing where there is none.
"""

from __future__ import annotations

import dataclasses
import itertools

from typing import TYPE_CHECKING, Final, NamedTuple

from thim.attestation.policy.claim import (
    LEAST_INTEGER,
    MOST_INTEGER,
    VALUE_TYPES,
    Value,
    is_value,
)
from thim.attestation.policy.errors import PolicyEvaluationError
from thim.attestation.policy.json_text import Json, read_json
from thim.errors import shorten


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thim.attestation.policy.jmespath import Searcher

_CHARACTERS_PER_STEP: Final = 1024


class Operand(NamedTuple):
    """
    What an expression yields.

    Attributes:
        values: The values, in order; duplicates are kept.
        read_only: They come from a claim that may not be issued.
    """

    values: tuple[Value, ...]
    read_only: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class PolicyFunction:
    """
    A function of *arity* arguments.
    """

    arity: int
    apply: Callable[[list[Operand], Searcher], Operand]


def value_key(value: Value) -> tuple[type, Value]:
    """
    Return what is equal for equal values alone: 1 is not true.
    """
    return (value.__class__, value)


def are_same(one: Value, other: Value) -> bool:
    """
    Say whether two values are equal: those of different types never are.
    """
    return one.__class__ is other.__class__ and one == other


def fail(message: str) -> PolicyEvaluationError:
    """
    Make an error for a value of the wrong type.
    """
    return PolicyEvaluationError(message, reason="policy-type")


def _combinations(
    name: str, operands: list[Operand], kind: type, searcher: Searcher
) -> Iterator[tuple[Value, ...]]:
    for operand in operands:
        for value in operand.values:
            searcher.meter.spend(1)
            if value.__class__ is not kind:
                msg = (
                    f"{name} takes {VALUE_TYPES[kind]}, not "
                    f"{VALUE_TYPES[value.__class__]} {shorten(value, 40)}"
                )
                raise fail(msg)
    for each in itertools.product(*[operand.values for operand in operands]):
        searcher.meter.spend(4)
        searcher.meter.make(1)
        yield each


def _is_tainted(operands: list[Operand]) -> bool:
    return any(each.read_only for each in operands)


def _jmespath(operands: list[Operand], searcher: Searcher) -> Operand:
    found = [
        searcher.search(str(text), str(query))
        for text, query in _combinations("JmesPath", operands, str, searcher)
    ]
    return Operand(tuple(found), _is_tainted(operands))


def _json_to_claim_value(
    operands: list[Operand], searcher: Searcher
) -> Operand:
    values: list[Value] = []
    for (text,) in _combinations("JsonToClaimValue", operands, str, searcher):
        value = read_json(str(text), searcher.meter)
        for each in value if isinstance(value, list) else (value,):
            searcher.meter.spend(1)
            if each is not None:
                values.append(_claim_value(each))
    return Operand(tuple(values), _is_tainted(operands))


def _claim_value(value: Json) -> Value:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if is_value(value):
        found: Value = value
        return found
    if isinstance(value, int):
        what = f"an integer beyond {LEAST_INTEGER} to {MOST_INTEGER}"
    elif isinstance(value, float):
        what = "a fraction"
    else:
        what = "an object" if isinstance(value, dict) else "an array in one"
    msg = f"JsonToClaimValue: a claim's value cannot be {what}"
    raise fail(msg)


def _append_string(operands: list[Operand], searcher: Searcher) -> Operand:
    found = []
    for one, other in _combinations("AppendString", operands, str, searcher):
        text = f"{one}{other}"
        searcher.meter.make(1, len(text))
        searcher.meter.spend(len(text) // _CHARACTERS_PER_STEP)
        found.append(text)
    return Operand(tuple(found), _is_tainted(operands))


def _negate_bool(operands: list[Operand], searcher: Searcher) -> Operand:
    found = [
        not value
        for (value,) in _combinations("NegateBool", operands, bool, searcher)
    ]
    return Operand(tuple(found), _is_tainted(operands))


def _keys(operand: Operand, searcher: Searcher) -> set[tuple[type, Value]]:
    # A text is hashed whole, once.
    size = sum(len(v) for v in operand.values if isinstance(v, str))
    searcher.meter.spend(len(operand.values) + size // _CHARACTERS_PER_STEP)
    searcher.meter.make(len(operand.values))
    return set(map(value_key, operand.values))


def _is_subset_of(operands: list[Operand], searcher: Searcher) -> Operand:
    one, other = (_keys(each, searcher) for each in operands)
    return Operand((one <= other,))


def _contains_only_value(
    operands: list[Operand], searcher: Searcher
) -> Operand:
    found, wanted = operands
    if len(wanted.values) != 1:
        msg = (
            "ContainsOnlyValue takes one value as second argument, not "
            f"{len(wanted.values)}"
        )
        raise fail(msg)
    searcher.meter.spend(len(found.values))
    (value,) = wanted.values
    is_only = all(are_same(each, value) for each in found.values)
    return Operand((bool(found.values) and is_only,))


FUNCTIONS: Final = {
    "JmesPath": PolicyFunction(2, _jmespath),
    "JsonToClaimValue": PolicyFunction(1, _json_to_claim_value),
    "IsSubsetOf": PolicyFunction(2, _is_subset_of),
    "AppendString": PolicyFunction(2, _append_string),
    "NegateBool": PolicyFunction(1, _negate_bool),
    "ContainsOnlyValue": PolicyFunction(2, _contains_only_value),
}
