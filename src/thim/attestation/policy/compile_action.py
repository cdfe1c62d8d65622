"""
Make the actions of rules into functions.
"""

from __future__ import annotations

import itertools

from typing import TYPE_CHECKING, Final, TypeAlias

from thim.attestation.policy.claim import VALUE_TYPES, Claim, Issuer, Value
from thim.attestation.policy.compile_expression import compile_expression
from thim.attestation.policy.functions import Operand, fail
from thim.attestation.policy.properties import GETTERS
from thim.attestation.policy.run import Run
from thim.attestation.policy.syntax import (
    Action,
    Literal,
    Reference,
    Section,
    Verb,
    Word,
    within,
)
from thim.errors import shorten


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thim.attestation.policy.compile_expression import Evaluate
    from thim.attestation.policy.queries import Queries
    from thim.attestation.policy.run import Bound

    Act: TypeAlias = Callable[[Run, Bound], None]

_NEW: Final = {
    Verb.ADD.value: Run.add,
    Verb.ISSUE.value: Run.issue,
    Verb.ISSUE_PROPERTY.value: Run.set_property,
}
_KNOWN: Final = {
    Verb.ADD.value: Run.add_again,
    Verb.ISSUE.value: Run.reissue,
    Verb.ISSUE_PROPERTY.value: Run.set_property,
}

_POLICY: Final = Issuer.POLICY


def compile_action(action: Action, section: Section, queries: Queries) -> Act:
    """
    Make *action* in *section* into a function of what identifiers bind.
    """
    verb = action.verb
    if section is Section.AUTHORIZATION and verb == Verb.ISSUE.value:
        verb = Verb.ADD.value
    claim = action.find("claim")
    if isinstance(claim, Word):
        return _compile_known(_KNOWN[verb], claim.name)
    kind, value = action.find("type"), action.find("value")
    if kind is None or value is None:
        return _nothing  # permit and deny are for whoever runs the rule
    wanted = action.find("valueType")
    evaluate = compile_expression(value, queries)
    if wanted is not None:
        evaluate = _checked(evaluate, compile_expression(wanted, queries))
    if isinstance(kind, Literal):
        if isinstance(value, Reference) and wanted is None:
            return _compile_copy(_NEW[verb], str(kind.value), value)
        return _compile_named(_NEW[verb], str(kind.value), evaluate)
    names = {e.name for e in within(kind) if isinstance(e, Reference)}
    find_types = compile_expression(kind, queries)
    return _compile_new(_NEW[verb], find_types, names, evaluate)


def _nothing(_run: Run, _bound: Bound) -> None:
    """Do nothing."""


def _compile_known(do: Callable[[Run, Claim], None], name: str) -> Act:
    def act(run: Run, bound: Bound) -> None:
        for each in bound[name]:
            run.meter.spend(2)
            do(run, each)

    return act


def _compile_new(
    do: Callable[[Run, Claim], None],
    find_types: Evaluate,
    names: set[str],
    value: Evaluate,
) -> Act:
    def act(run: Run, bound: Bound) -> None:
        types = dict.fromkeys(find_types(run, bound).values)
        if len(types) <= 1:
            for each in types:
                make(run, bound, each)
            return
        for part in _apart(run, names, bound):
            types = dict.fromkeys(find_types(run, part).values)
            if len(types) > 1:
                msg = f"a claim has one type, not {len(types)}"
                raise fail(msg)
            for each in types:
                make(run, part, each)

    def make(run: Run, bound: Bound, type_: Value) -> None:
        if not isinstance(type_, str):
            msg = f"a claim's type is a String, not {shorten(type_, 40)}"
            raise fail(msg)
        _make(run, do, type_, value(run, bound))

    return act


def _compile_copy(
    do: Callable[[Run, Claim], None], type_: str, value: Reference
) -> Act:
    """
    Give a property of what is bound another name: the commonest rule.
    """
    name, get = value.name, GETTERS[value.property]

    def act(run: Run, bound: Bound) -> None:
        for each in bound[name]:
            do(run, Claim(type_, get(each), _POLICY, each.read_only))

    return act


def _compile_named(
    do: Callable[[Run, Claim], None], type_: str, value: Evaluate
) -> Act:
    def act(run: Run, bound: Bound) -> None:
        _make(run, do, type_, value(run, bound))

    return act


def _make(
    run: Run, do: Callable[[Run, Claim], None], type_: str, operand: Operand
) -> None:
    values, read_only = operand
    for each in values:
        do(run, Claim(type_, each, _POLICY, read_only))


def _apart(run: Run, names: set[str], bound: Bound) -> Iterator[Bound]:
    """
    Bind each of *names* to one claim at a time, in all combinations.
    """
    order = sorted(names)
    for each in itertools.product(*[bound[name] for name in order]):
        run.meter.spend(4)
        alone = {
            name: (claim,) for name, claim in zip(order, each, strict=True)
        }
        yield {**bound, **alone}


def _checked(evaluate: Evaluate, find_kind: Evaluate) -> Evaluate:
    """
    Let pass only values whose type is the one that *find_kind* names.
    """

    def check(run: Run, bound: Bound) -> Operand:
        operand = evaluate(run, bound)
        kinds = set(find_kind(run, bound).values)
        for each in operand.values:
            if kinds != {VALUE_TYPES[each.__class__]}:
                msg = f"the value {shorten(each, 40)} is not of valueType"
                raise fail(msg)
        return operand

    return check
