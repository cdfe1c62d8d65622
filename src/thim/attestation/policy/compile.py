"""
Make rules into functions, once, so that running them is quick.
"""

from __future__ import annotations

import dataclasses
import operator

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from thim.attestation.policy.claim import Claim, Value
from thim.attestation.policy.compile_action import compile_action
from thim.attestation.policy.compile_expression import compile_expression
from thim.attestation.policy.functions import are_same, value_key
from thim.attestation.policy.properties import GETTERS
from thim.attestation.policy.syntax import Literal


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thim.attestation.policy.queries import Queries
    from thim.attestation.policy.run import Bound, Run
    from thim.attestation.policy.syntax import (
        Condition,
        Rule,
        Section,
        Test,
    )

    Fits: TypeAlias = Callable[[Claim], bool]
    Match: TypeAlias = Callable[[Run, Bound], tuple[Claim, ...]]

_CHARACTERS_PER_STEP: Final = 1024
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclasses.dataclass(frozen=True, slots=True)
class CompiledRule:
    """
    A rule, and how it is run: *fire* says whether its conditions held.
    """

    rule: Rule
    fire: Callable[[Run], bool]


def compile_rule(
    rule: Rule, section: Section, queries: Queries
) -> CompiledRule:
    """
    Make *rule* of *section* into a function that acts on an evaluation;
    *queries* holds those that are written out in it.
    """
    conditions = [
        (each.name, each.negated, _compile_condition(each, queries))
        for each in rule.conditions
    ]
    act = compile_action(rule.action, section, queries)
    cost = 2 + len(conditions)

    def fire(run: Run) -> bool:
        run.meter.spend(cost)
        bound: dict[str, tuple[Claim, ...]] = {}
        for name, negated, match in conditions:
            found = match(run, bound)
            if negated is bool(found):
                return False
            if name is not None:
                bound[name] = found
        act(run, bound)
        return True

    return CompiledRule(rule, fire)


def _compile_condition(condition: Condition, queries: Queries) -> Match:
    tests = list(condition.tests)
    name = _take_type(tests)
    filters = [_compile_test(each, queries) for each in tests]
    if name is not None and not filters:
        return lambda run, _: tuple(run.by_type.get(name, ()))

    def match(run: Run, bound: Bound) -> tuple[Claim, ...]:
        found: Sequence[Claim]
        found = run.claims if name is None else run.by_type.get(name, ())
        for keep in filters:
            if not found:
                break
            found = keep(run, bound, found)
        return tuple(found)

    return match


def find_type(condition: Condition) -> str | None:
    """
    Return the only type of claims that can meet *condition*, as far as that
    can be seen.
    """
    return _take_type(list(condition.tests))


def _take_type(tests: list[Test]) -> str | None:
    """
    Take from *tests* the first one for a certain type, and return that: such
    claims are found at once.
    """
    for index, each in enumerate(tests):
        operand = each.operand
        if (
            (each.property, each.operator) == ("type", "==")
            and isinstance(operand, Literal)
            and isinstance(operand.value, str)
        ):
            del tests[index]
            return operand.value
    return None


def _compile_test(
    test: Test, queries: Queries
) -> Callable[[Run, Bound, Sequence[Claim]], list[Claim]]:
    if isinstance(test.operand, Literal):
        return _compile_fixed(test, test.operand.value)
    evaluate = compile_expression(test.operand, queries)

    def keep(run: Run, bound: Bound, claims: Sequence[Claim]) -> list[Claim]:
        values = evaluate(run, bound).values
        run.meter.spend(sum(map(_cost, values)) + 2 * len(claims))
        if len(values) == 1:
            fits = _fit(test.property, test.operator, values[0])
        else:
            fits = _fit_any(test.property, test.operator, values)
        return list(filter(fits, claims))

    return keep


def _compile_fixed(
    test: Test, wanted: Value
) -> Callable[[Run, Bound, Sequence[Claim]], list[Claim]]:
    fits = _fit(test.property, test.operator, wanted)
    cost = _cost(wanted)

    def keep(run: Run, _: Bound, claims: Sequence[Claim]) -> list[Claim]:
        run.meter.spend(cost * len(claims))
        return list(filter(fits, claims))

    return keep


def _cost(wanted: Value) -> int:
    if isinstance(wanted, str):
        return 1 + len(wanted) // _CHARACTERS_PER_STEP
    return 1


def _fit(name: str, relation: str, wanted: Value) -> Fits:
    get = GETTERS[name]
    order = _ORDERS.get(relation)
    if relation == "==":
        return lambda claim: are_same(get(claim), wanted)
    if relation == "!=":
        return lambda claim: not are_same(get(claim), wanted)

    def compares(claim: Claim) -> bool:
        value = get(claim)
        is_ordered = value.__class__ is int and wanted.__class__ is int
        return bool(is_ordered and order and order(value, wanted))

    return compares


def _fit_any(name: str, relation: str, values: Sequence[Value]) -> Fits:
    """
    Return whether a claim fits one of *values*: none fits nothing.
    """
    get = GETTERS[name]
    keys = set(map(value_key, values))
    if relation == "==":
        return lambda claim: value_key(get(claim)) in keys
    if relation == "!=":
        # What is not equal to all of them is not equal to one of them.
        most = len(keys)
        return lambda claim: most > (value_key(get(claim)) in keys)
    numbers = [each for each in values if each.__class__ is int]
    if not numbers:
        return lambda _: False
    furthest = max if relation in {"<", "<="} else min
    return _fit(name, relation, furthest(numbers))
