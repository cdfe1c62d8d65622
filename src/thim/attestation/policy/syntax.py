"""
The parts of a policy, as they are written.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING, Final, TypeAlias


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.attestation.policy.claim import Value


class Section(enum.Enum):
    """
    A section; they are run in this order.
    """

    CONFIGURATION = "configurationrules"
    AUTHORIZATION = "authorizationrules"
    ISSUANCE = "issuancerules"


class Verb(enum.Enum):
    """
    What a rule does.
    """

    PERMIT = "permit"
    DENY = "deny"
    ADD = "add"
    ISSUE = "issue"
    ISSUE_PROPERTY = "issueproperty"


#: Where each may stand.
VERBS: Final = {
    Section.CONFIGURATION: (Verb.ISSUE_PROPERTY,),
    # Nothing that is issued there reaches the token: it is only added.  But a
    # sample of Azure's does it.
    Section.AUTHORIZATION: (Verb.PERMIT, Verb.DENY, Verb.ADD, Verb.ISSUE),
    Section.ISSUANCE: (Verb.ADD, Verb.ISSUE, Verb.ISSUE_PROPERTY),
}
PROPERTIES: Final = ("type", "value", "valueType", "issuer")


@dataclasses.dataclass(frozen=True, slots=True)
class Literal:
    """A value that is written out."""

    value: Value
    place: tuple[int, int] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """An identifier that stands alone, for the claims that it binds."""

    name: str
    place: tuple[int, int] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """A property of what an identifier binds."""

    name: str
    property: str
    place: tuple[int, int] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A function of its arguments; *depth* is how deep calls nest in it."""

    function: str
    arguments: tuple[Expression, ...]
    depth: int
    place: tuple[int, int] = dataclasses.field(compare=False)


Expression: TypeAlias = Literal | Word | Reference | Call


@dataclasses.dataclass(frozen=True, slots=True)
class Test:
    """A test of a claim's property; ``=`` is kept as ``==``."""

    property: str
    operator: str
    operand: Expression
    place: tuple[int, int] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """Whether there is a claim that meets all *tests*, or is none."""

    negated: bool
    name: str | None
    tests: tuple[Test, ...]
    place: tuple[int, int] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A part of the claim that an action makes."""

    name: str
    value: Expression
    place: tuple[int, int] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """What is done, and with which claim."""

    verb: str
    members: tuple[Member, ...]
    place: tuple[int, int] = dataclasses.field(compare=False)

    def find(self, name: str) -> Expression | None:
        """
        Return what the member *name* is said to be, if it is.
        """
        for each in self.members:
            if each.name == name:
                return each.value
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """
    A rule: if all conditions hold, the action.
    """

    conditions: tuple[Condition, ...]
    action: Action
    place: tuple[int, int] = dataclasses.field(compare=False)

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.place[0]


@dataclasses.dataclass(frozen=True, slots=True)
class RuleSet:
    """A section as it is written: its name in any letter case."""

    name: str
    rules: tuple[Rule, ...]
    place: tuple[int, int] = dataclasses.field(compare=False)

    @property
    def section(self) -> Section:
        """
        Which it is.
        """
        return Section(self.name.lower())


def expressions(rule: Rule) -> Iterator[Expression]:
    """
    Go through all expressions in *rule*, those in calls included, as they
    stand in the text.
    """
    for condition in rule.conditions:
        for test in condition.tests:
            yield from within(test.operand)
    for member in rule.action.members:
        yield from within(member.value)


def within(expression: Expression) -> Iterator[Expression]:
    """
    Go through *expression* and all its arguments.
    """
    yield expression
    if isinstance(expression, Call):
        for argument in expression.arguments:
            yield from within(argument)
