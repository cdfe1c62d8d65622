"""
JMESPath on a budget: each query is compiled to functions, and these count.

What the specification leaves open is strict here: only numbers have an order,
true is not 1, a function that is given a wrong type fails.
"""

from __future__ import annotations

import operator

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.policy.jmespath_functions import (
    EXPRESSIONS,
    Function,
    find_function,
)
from thim.attestation.policy.jmespath_values import (
    are_equal,
    is_false,
    is_number,
)
from thim.attestation.policy.json_text import Json, read_json, write_json
from thim.attestation.policy.limits import Budget, Meter
from thim.attestation.policy.query import read_query, refuse_query


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from thim.attestation.policy.jmespath_values import Run
    from thim.attestation.policy.query import Node

_STEPS_PER_CALL: Final = 3
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def search(json_text: str, query: str, budget: Budget) -> str:
    """
    Return what *query* finds in *json_text*, as JSON text.

    Raises:
        PolicyEvaluationError: Either cannot be read, a function of the query
            is given what it does not take, or *budget* is too small.
    """
    return Searcher(Meter(budget)).search(json_text, query)


class Searcher:
    """
    Searches within one evaluation: what it has read once it does not read
    again.
    """

    __slots__ = ("_documents", "_queries", "meter")

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._documents: dict[str, Json] = {}
        self._queries: dict[str, Run] = {}

    def search(self, json_text: str, query: str) -> str:
        """
        Return what *query* finds in *json_text*, as JSON text.
        """
        run = self._query(query)
        try:
            found = run(self._document(json_text), self.meter)
        except RecursionError:
            raise refuse_query(query, "it nests too deep") from None
        return write_json(found, self.meter)

    def _document(self, text: str) -> Json:
        if text not in self._documents:
            self._documents[text] = read_json(text, self.meter)
        return self._documents[text]

    def _query(self, text: str) -> Run:
        if text not in self._queries:
            self._queries[text] = compile_query(text, self.meter)
        return self._queries[text]

    def prepare(self, text: str, query: Run) -> None:
        """
        Take over a *query* that was compiled already.
        """
        self._queries.setdefault(text, query)


def compile_query(text: str, meter: Meter) -> Run:
    """
    Make a query into a function of a value and a meter.

    Raises:
        PolicyEvaluationError: It is no query, or knows a function that we do
            not.
    """
    if not text:
        raise refuse_query(text, "it is empty")
    return _Compiler(text).compile(read_query(text, meter))


class _Compiler:
    """
    Makes each node of a tree into a function.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def compile(self, node: Node) -> Run:
        """
        Return what *node* does.
        """
        made: Run = getattr(self, f"_{node['type']}")(node)
        return made

    def _all(self, nodes: Iterable[Node]) -> tuple[Run, ...]:
        return tuple(map(self.compile, nodes))

    def _identity(self, _: Node) -> Run:
        return _same

    _current = _identity

    def _literal(self, node: Node) -> Run:
        value = node["value"]

        def literal(_: Json, meter: Meter) -> Json:
            meter.spend(1)
            return value

        return literal

    def _field(self, node: Node) -> Run:
        name = node["value"]

        def field(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            return value.get(name) if value.__class__ is dict else None

        return field

    def _index(self, node: Node) -> Run:
        index = node["value"]

        def find(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            if value.__class__ is list and -len(value) <= index < len(value):
                return value[index]
            return None

        return find

    def _slice(self, node: Node) -> Run:
        part = slice(*node["children"])
        if part.step == 0:
            raise refuse_query(self._text, "a slice whose step is 0")

        def cut(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            if value.__class__ is not list:
                return None
            found = value[part]
            take(found, meter)
            return found

        return cut

    def _chain(self, node: Node) -> Run:
        links = self._all(node["children"])

        def chain(value: Json, meter: Meter) -> Json:
            for link in links:
                value = link(value, meter)
            return value

        return chain

    _subexpression = _index_expression = _pipe = _chain

    def _comparator(self, node: Node) -> Run:
        left, right = self._all(node["children"])
        order = _ORDERS.get(node["value"])
        wanted = node["value"] == "eq"

        def equals(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            return wanted is are_equal(
                left(value, meter), right(value, meter), meter
            )

        def compares(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            one, other = left(value, meter), right(value, meter)
            if order and is_number(one) and is_number(other):
                return order(one, other)
            return None

        return equals if order is None else compares

    def _or_expression(self, node: Node) -> Run:
        left, right = self._all(node["children"])

        def either(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            found = left(value, meter)
            return right(value, meter) if is_false(found) else found

        return either

    def _and_expression(self, node: Node) -> Run:
        left, right = self._all(node["children"])

        def both(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            found = left(value, meter)
            return found if is_false(found) else right(value, meter)

        return both

    def _not_expression(self, node: Node) -> Run:
        (inner,) = self._all(node["children"])

        def negation(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            return is_false(inner(value, meter))

        return negation

    def _multi_select_list(self, node: Node) -> Run:
        parts = self._all(node["children"])

        def select(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            meter.make(len(parts))
            if value is None:
                return None
            return [part(value, meter) for part in parts]

        return select

    def _multi_select_dict(self, node: Node) -> Run:
        parts = [
            (each["value"], self.compile(each["children"][0]))
            for each in node["children"]
        ]

        def select(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            meter.make(len(parts))
            if value is None:
                return None
            return {name: part(value, meter) for name, part in parts}

        return select

    def _flatten(self, node: Node) -> Run:
        (inner,) = self._all(node["children"])

        def flatten(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            found = inner(value, meter)
            if found.__class__ is not list:
                return None
            merged: list[Json] = []
            for each in found:
                part = each if each.__class__ is list else [each]
                take(part, meter)
                merged += part
            return merged

        return flatten

    def _projection(self, node: Node) -> Run:
        return self._project(node, list, iter)

    def _value_projection(self, node: Node) -> Run:
        return self._project(node, dict, dict.values)

    def _project(
        self, node: Node, kind: type, elements: Callable[[Any], Iterable[Json]]
    ) -> Run:
        base, part = self._all(node["children"])

        def project(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            found = base(value, meter)
            if found.__class__ is not kind:
                return None
            return _each(elements(found), part, meter)

        return project

    def _filter_projection(self, node: Node) -> Run:
        base, part, fits = self._all(node["children"])

        def project(value: Json, meter: Meter) -> Json:
            meter.spend(1)
            found = base(value, meter)
            if found.__class__ is not list:
                return None
            chosen = [e for e in found if _is_true(fits, e, meter)]
            return _each(chosen, part, meter)

        return project

    def _function_expression(self, node: Node) -> Run:
        name = node["value"]
        function = find_function(name, len(node["children"]))
        if isinstance(function, str):
            raise refuse_query(self._text, function)
        return self._call(function, node["children"])

    def _call(self, function: Function, nodes: list[Node]) -> Run:
        at = EXPRESSIONS.get(function.name)
        if any(
            (n["type"] == "expref") != (i == at) for i, n in enumerate(nodes)
        ):
            why = f"{function.name}() takes an expression (&) elsewhere"
            raise refuse_query(self._text, why)
        if at is not None:
            expression = self.compile(nodes[at]["children"][0])
            argument = self.compile(nodes[1 - at])

            def apply(value: Json, meter: Meter) -> Json:
                meter.spend(_STEPS_PER_CALL)
                return function.run(argument(value, meter), expression, meter)

            return apply
        arguments = self._all(nodes)

        def call(value: Json, meter: Meter) -> Json:
            meter.spend(_STEPS_PER_CALL)
            return function.run(*[a(value, meter) for a in arguments], meter)

        return call

    def _expref(self, _: Node) -> Run:
        raise refuse_query(self._text, "an expression (&) without a function")


def _same(value: Json, meter: Meter) -> Json:
    meter.spend(1)
    return value


def _is_true(fits: Run, value: Json, meter: Meter) -> bool:
    return not is_false(fits(value, meter))


def take(elements: list[Json], meter: Meter) -> None:
    """
    Account for a list that is copied.
    """
    meter.spend(1 + len(elements) // 8)
    meter.make(len(elements))


def _each(elements: Iterable[Json], part: Run, meter: Meter) -> list[Json]:
    found = []
    for each in elements:
        meter.make(1)
        one = part(each, meter)
        if one is not None:
            found.append(one)
    return found
