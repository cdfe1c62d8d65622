"""
The queries that are written out in a policy: compiled once, when it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from thim.attestation.policy.errors import (
    PolicyEvaluationError,
    PolicySyntaxError,
)
from thim.attestation.policy.jmespath import compile_query
from thim.attestation.policy.limits import Budget, Meter
from thim.attestation.policy.syntax import Call, Literal, expressions


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from thim.attestation.policy.jmespath_values import Run
    from thim.attestation.policy.syntax import Expression, Rule

    Queries: TypeAlias = Mapping[str, Run]

#: For all queries of a policy, as one evaluation has them.
_BUDGET: Final = Budget(steps=200_000, elements=200_000)
_PATH: Final = ("section", "claimRule", "functionCall")


def compile_queries(rules: Iterable[Rule]) -> Queries:
    """
    Compile the queries that are written out in *rules*.

    Raises:
        PolicySyntaxError: One is no query, or they are too many.
    """
    found: dict[str, Run] = {}
    meter = Meter(_BUDGET)
    for rule in rules:
        for each in expressions(rule):
            literal = literal_query(each)
            if literal is not None and literal.value not in found:
                found[str(literal.value)] = _compile(literal, meter)
    return found


def literal_query(expression: Expression) -> Literal | None:
    """
    Return the query in *expression*, if that is a call with one written out.
    """
    if isinstance(expression, Call) and expression.function == "JmesPath":
        query = expression.arguments[1]
        if isinstance(query, Literal):
            return query
    return None


def _compile(query: Literal, meter: Meter) -> Run:
    found = str(query.value)
    if not isinstance(query.value, str):
        expected = "expected a JMESPath query"
        raise PolicySyntaxError(query.place, found, expected, _PATH)
    try:
        return compile_query(query.value, meter)
    except PolicyEvaluationError as e:
        why = f"which cannot be used as JMESPath query: {e}"
        raise PolicySyntaxError(query.place, found, why, _PATH) from None
