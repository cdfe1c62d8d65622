"""
From the parser's reductions to the parts of a policy.
"""

from __future__ import annotations

import re

from typing import TYPE_CHECKING, Any, Final

from lark import Transformer

from thim.attestation.policy.claim import LEAST_INTEGER, MOST_INTEGER
from thim.attestation.policy.errors import PolicySyntaxError
from thim.attestation.policy.limits import MAX_NESTING
from thim.attestation.policy.syntax import (
    Action,
    Call,
    Condition,
    Expression,
    Literal,
    Member,
    Reference,
    Rule,
    RuleSet,
    Test,
    Word,
)


if TYPE_CHECKING:
    from lark import Token

_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
#: By the number of digits alone no integer of 64 bits is longer.
_MOST_DIGITS: Final = 20
_TRUTH: Final = {"true": True, "false": False}


class Builder(Transformer[Any, Any]):
    """
    Makes each part as soon as the parser has all of it.

    Holds nothing of a text: one builder serves all.
    """

    def policy(self, parts: list[Any]) -> tuple[Token, list[RuleSet]]:
        """
        Return the version's number, and the sections.
        """
        return parts[0], parts[1:]

    def version(self, parts: list[Token]) -> Token:
        """
        Return the number alone.
        """
        word, number = parts
        if word != "version":
            expected = "expected version"
            raise PolicySyntaxError(at(word), word, expected, ["versionInfo"])
        return number

    def section(self, parts: list[Any]) -> RuleSet:
        """
        Return a section as it is named.
        """
        name, *rules = parts
        return RuleSet(str(name), tuple(rules), at(name))

    def rule(self, parts: list[Any]) -> Rule:
        """
        Let a rule begin with its first condition, or with the arrow.
        """
        conditions, arrow, action = parts
        if conditions is None:
            return Rule((), action, at(arrow))
        return Rule(conditions, action, conditions[0].place)

    def conditions(self, parts: list[Condition]) -> tuple[Condition, ...]:
        """
        Return all of them.
        """
        return tuple(parts)

    def condition(self, parts: list[Any]) -> Condition:
        """
        Let a condition begin where its first part does.
        """
        negation, label, *tests = parts
        name = None if label is None else str(label)
        first = negation or label
        # The bracket is not kept; the first test stands right behind it.
        place = tests[0].place if first is None else at(first)
        return Condition(negation is not None, name, tuple(tests), place)

    def test(self, parts: list[Any]) -> Test:
        """
        Take one equal sign for two.
        """
        name, operator, operand = parts
        operator = "==" if operator == "=" else str(operator)
        return Test(str(name), operator, operand, at(name))

    def action(self, parts: list[Any]) -> Action:
        """
        Return what is done.
        """
        verb, *members = parts
        made = tuple(each for each in members if each is not None)
        return Action(str(verb), made, at(verb))

    def member(self, parts: list[Any]) -> Member:
        """
        Return a part of a claim.
        """
        name, value = parts
        return Member(str(name), value, at(name))

    def literal(self, parts: list[Token]) -> Literal:
        """
        Return a string without its quotes, or a number.
        """
        (token,) = parts
        if token.type == "STRING":
            text = token[1:-1]
            if "\\" in text:
                text = _ESCAPED.sub(r"\1", text)
            return Literal(str(text), at(token))
        return Literal(_integer(token), at(token))

    def word(self, parts: list[Token]) -> Expression:
        """
        Return a truth value, or an identifier.
        """
        (token,) = parts
        if token in _TRUTH:
            return Literal(_TRUTH[token], at(token))
        return Word(str(token), at(token))

    def reference(self, parts: list[Token]) -> Reference:
        """
        Return a property of what is bound.
        """
        name, member = parts
        return Reference(str(name), str(member), at(name))

    def call(self, parts: list[Any]) -> Call:
        """
        Return a call, unless it nests too deep.
        """
        name, *rest = parts
        arguments = tuple(each for each in rest if each is not None)
        depth = 1 + max((depth_of(each) for each in arguments), default=0)
        if depth > MAX_NESTING:
            expected = f"which nests calls more than {MAX_NESTING} deep"
            raise PolicySyntaxError(
                at(name), name, expected, ["section", "claimRule"]
            )
        return Call(str(name), arguments, depth, at(name))


def depth_of(expression: Expression) -> int:
    """
    Return how deep calls nest in *expression*.
    """
    return expression.depth if isinstance(expression, Call) else 0


def at(token: Token) -> tuple[int, int]:
    """
    Return the line and the column where *token* begins.
    """
    return token.line or 1, token.column or 1


def _integer(token: Token) -> int:
    digits = token.lstrip("-0")
    # What is too long is not converted at all: that takes its time.
    number = int(token) if len(digits) < _MOST_DIGITS else MOST_INTEGER + 1
    if not LEAST_INTEGER <= number <= MOST_INTEGER:
        expected = "expected an integer of at most 64 bits"
        raise PolicySyntaxError(
            at(token), token, expected, ["section", "claimRule"]
        )
    return number
