"""
Write a policy in one way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.attestation.policy.syntax import Call, Literal, Reference


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from thim.attestation.policy.claim import Value
    from thim.attestation.policy.parse import Policy
    from thim.attestation.policy.syntax import (
        Action,
        Condition,
        Expression,
        Rule,
    )


def format_policy(policy: Policy) -> str:
    """
    Write *policy*, one rule a line, without its comments.
    """
    return "\n".join(_lines(policy)) + "\n"


def _lines(policy: Policy) -> Iterator[str]:
    yield f"version={policy.version};"
    for each in policy.sections:
        yield f"{each.section.value} {{"
        for rule in each.rules:
            yield f"    {format_rule(rule)};"
        yield "};"


def format_rule(rule: Rule) -> str:
    """
    Write *rule* without the semicolon behind it.
    """
    conditions = " && ".join(map(_condition, rule.conditions))
    return f"{conditions} => {_action(rule.action)}".lstrip()


def _condition(condition: Condition) -> str:
    tests = ", ".join(
        f"{each.property} {each.operator} {_expression(each.operand)}"
        for each in condition.tests
    )
    name = "" if condition.name is None else f"{condition.name}:"
    return f"{'!' if condition.negated else ''}{name}[{tests}]"


def _action(action: Action) -> str:
    members = ", ".join(
        f"{each.name}={_expression(each.value)}" for each in action.members
    )
    return f"{action.verb}({members})"


def _expression(expression: Expression) -> str:
    if isinstance(expression, Literal):
        return _literal(expression.value)
    if isinstance(expression, Reference):
        return f"{expression.name}.{expression.property}"
    if isinstance(expression, Call):
        return f"{expression.function}({_list(expression.arguments)})"
    return expression.name


def _list(expressions: Iterable[Expression]) -> str:
    return ", ".join(map(_expression, expressions))


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
