"""
Make expressions into functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from thim.attestation.policy.functions import FUNCTIONS, Operand
from thim.attestation.policy.properties import GETTERS
from thim.attestation.policy.queries import literal_query
from thim.attestation.policy.syntax import Call, Literal, Reference


if TYPE_CHECKING:
    from collections.abc import Callable

    from thim.attestation.policy.queries import Queries
    from thim.attestation.policy.run import Bound, Run
    from thim.attestation.policy.syntax import Expression

    Evaluate: TypeAlias = Callable[[Run, Bound], Operand]


def compile_expression(expression: Expression, queries: Queries) -> Evaluate:
    """
    Make *expression* into a function of what identifiers bind.
    """
    if isinstance(expression, Literal):
        operand = Operand((expression.value,))
        return lambda _run, _bound: operand
    if isinstance(expression, Reference):
        return _compile_reference(expression)
    assert isinstance(expression, Call)  # noqa: S101 - a word is refused
    return _compile_call(expression, queries)


def _compile_reference(reference: Reference) -> Evaluate:
    name, get = reference.name, GETTERS[reference.property]

    def refer(run: Run, bound: Bound) -> Operand:
        claims = bound[name]
        if len(claims) == 1:
            (only,) = claims
            return Operand((get(only),), only.read_only)
        run.meter.spend(len(claims))
        run.meter.make(len(claims))
        is_tainted = any(each.read_only for each in claims)
        return Operand(tuple(map(get, claims)), is_tainted)

    return refer


def _compile_call(call: Call, queries: Queries) -> Evaluate:
    function = FUNCTIONS[call.function]
    arguments = [compile_expression(each, queries) for each in call.arguments]
    query = literal_query(call)
    text = "" if query is None else str(query.value)

    def apply(run: Run, bound: Bound) -> Operand:
        run.meter.spend(4)
        if text:
            run.searcher.prepare(text, queries[text])
        operands = [each(run, bound) for each in arguments]
        return function.apply(operands, run.searcher)

    return apply
