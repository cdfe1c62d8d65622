"""
What the grammar cannot say: which words mean something, and where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.attestation.policy.build import at
from thim.attestation.policy.claim import VALUE_TYPES
from thim.attestation.policy.errors import PolicySyntaxError
from thim.attestation.policy.functions import FUNCTIONS
from thim.attestation.policy.syntax import (
    PROPERTIES,
    VERBS,
    Call,
    Literal,
    Reference,
    Section,
    Verb,
    Word,
    within,
)


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lark import Token

    from thim.attestation.policy.syntax import (
        Action,
        Condition,
        Expression,
        Rule,
        RuleSet,
        Test,
    )

_VERSIONS: Final = ("1.0", "1.1", "1.2")
_WITHOUT_CONFIGURATION: Final = "1.0"
_WITH_FUNCTIONS: Final = "1.2"
_SECTIONS: Final = tuple(each.value for each in Section)
_MEMBERS: Final = ("type", "value", "valueType")
_FOR_EQUALITY: Final = ("==", "!=")
_RULE: Final = ("section", "claimRule")
_CONDITION: Final = (*_RULE, "condition")
_ACTION: Final = (*_RULE, "action")


def check_version(number: Token) -> str:
    """
    Return the version of the language that *number* says.
    """
    if number not in _VERSIONS:
        expected = f"expected {_one_of(_VERSIONS)}"
        raise PolicySyntaxError(at(number), number, expected, ["versionInfo"])
    return str(number)


def check_rule_sets(sections: Sequence[RuleSet], version: str) -> None:
    """
    Check that all words in *sections* are known and stand where they may.

    Raises:
        PolicySyntaxError: One does not, or this *version* does not have it.
    """
    for index, each in enumerate(sections):
        _check_name(each, sections[:index], version)
        for rule in each.rules:
            _check_rule(rule, each.section, version)


def _check_name(
    written: RuleSet, before: Iterable[RuleSet], version: str
) -> None:
    if written.name.lower() not in _SECTIONS:
        expected = f"expected {_one_of(_SECTIONS)}"
    elif written.section in {each.section for each in before}:
        expected = "which stands there twice"
    elif (
        written.section is Section.CONFIGURATION
        and version == _WITHOUT_CONFIGURATION
    ):
        expected = f"which version 1.1 has, but not {version}"
    else:
        return
    raise PolicySyntaxError(written.place, written.name, expected, ["section"])


def _check_rule(rule: Rule, section: Section, version: str) -> None:
    bound: dict[str, bool] = {}
    for condition in rule.conditions:
        _check_condition(condition, bound, version)
    _check_action(rule.action, section)
    for member in rule.action.members:
        if not (member.name == "claim" and isinstance(member.value, Word)):
            _check_expression(member.value, bound, version, _ACTION)
        elif not bound.get(member.value.name):
            raise _unbound(member.value, bound, _ACTION)


def _check_condition(
    condition: Condition, bound: dict[str, bool], version: str
) -> None:
    if condition.negated and version != _WITH_FUNCTIONS:
        expected = f"which version 1.2 has, but not {version}"
        raise PolicySyntaxError(condition.place, "!", expected, _CONDITION)
    for test in condition.tests:
        _check_test(test)
        _check_expression(test.operand, bound, version, _CONDITION)
    name = condition.name
    if name in bound:
        expected = "expected an identifier that this rule has not used yet"
        raise PolicySyntaxError(condition.place, name, expected, _CONDITION)
    if name is not None:
        bound[name] = not condition.negated


def _check_test(test: Test) -> None:
    _check_property(test.property, test.place, _CONDITION)
    if test.operator in _FOR_EQUALITY:
        return
    operand = test.operand
    is_number = not isinstance(operand, Literal) or type(operand.value) is int
    if test.property != "value" or not is_number:
        expected = "expected == or !=: only integers have an order"
        raise PolicySyntaxError(
            test.place, f"{test.property} {test.operator}", expected, _CONDITION
        )


def _check_property(
    name: str, place: tuple[int, int], path: Sequence[str]
) -> None:
    if name not in PROPERTIES:
        expected = f"expected {_one_of(PROPERTIES)}"
        raise PolicySyntaxError(place, name, expected, path)


def _check_action(action: Action, section: Section) -> None:
    verbs = [each.value for each in VERBS[section]]
    if action.verb not in verbs:
        expected = f"expected {_one_of(verbs)} in {section.value}"
        raise PolicySyntaxError(action.place, action.verb, expected, _ACTION)
    if action.verb in {Verb.PERMIT.value, Verb.DENY.value}:
        if action.members:
            expected = f"expected nothing in {action.verb}()"
            first = action.members[0]
            raise PolicySyntaxError(first.place, first.name, expected, _ACTION)
        return
    _check_members(action)


def _check_members(action: Action) -> None:
    names = [each.name for each in action.members]
    for index, each in enumerate(action.members):
        if each.name == "claim" and len(names) == 1:
            _check_claim(each.value)
            return
        if each.name not in _MEMBERS:
            expected = "expected claim alone, or type, value and valueType"
        elif each.name in names[:index]:
            expected = "which stands there twice"
        else:
            continue
        raise PolicySyntaxError(each.place, each.name, expected, _ACTION)
    missing = [each for each in _MEMBERS[:2] if each not in names]
    if missing:
        expected = f"expected a {missing[0]} in it, or a claim"
        raise PolicySyntaxError(action.place, action.verb, expected, _ACTION)
    _check_value_type(action)


def _check_claim(value: Expression) -> None:
    if not isinstance(value, Word):
        expected = "expected an identifier alone behind claim ="
        found = value.name if isinstance(value, Reference) else "a value"
        raise PolicySyntaxError(value.place, found, expected, _ACTION)


def _check_value_type(action: Action) -> None:
    kind = action.find("type")
    if isinstance(kind, Literal) and not isinstance(kind.value, str):
        expected = "expected a string as type"
        raise PolicySyntaxError(kind.place, str(kind.value), expected, _ACTION)
    wanted = action.find("valueType")
    if not isinstance(wanted, Literal):
        return
    known = tuple(VALUE_TYPES.values())
    value = action.find("value")
    expected = f"expected {_one_of(known)}"
    if isinstance(value, Literal):
        known = (VALUE_TYPES[type(value.value)],)
        expected = f"expected {known[0]} for this value"
    if wanted.value not in known:
        found = str(wanted.value)
        raise PolicySyntaxError(wanted.place, found, expected, _ACTION)


def _check_expression(
    expression: Expression,
    bound: dict[str, bool],
    version: str,
    path: Sequence[str],
) -> None:
    for each in within(expression):
        if isinstance(each, Word):
            expected = "expected a value: a property of it, or a string"
            raise PolicySyntaxError(each.place, each.name, expected, path)
        if isinstance(each, Reference):
            if not bound.get(each.name):
                raise _unbound(each, bound, path)
            _check_property(each.property, each.place, path)
        elif isinstance(each, Call):
            _check_call(each, version, path)


def _unbound(
    part: Word | Reference, bound: dict[str, bool], path: Sequence[str]
) -> PolicySyntaxError:
    expected = "expected an identifier that a condition before it binds"
    if part.name in bound:
        expected = "which stands for no claim: its condition has a !"
    return PolicySyntaxError(part.place, part.name, expected, path)


def _check_call(call: Call, version: str, path: Sequence[str]) -> None:
    function = FUNCTIONS.get(call.function)
    path = (*path, "functionCall")
    if function is None:
        expected = f"expected {_one_of(tuple(FUNCTIONS))}"
    elif version != _WITH_FUNCTIONS:
        expected = f"which version 1.2 has, but not {version}"
    elif len(call.arguments) != function.arity:
        expected = (
            f"expected {function.arity} argument(s), not {len(call.arguments)}"
        )
    else:
        return
    raise PolicySyntaxError(call.place, call.function, expected, path)


def _one_of(names: Sequence[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} or {last}" if rest else last
