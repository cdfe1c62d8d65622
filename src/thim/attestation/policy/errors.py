"""
What can be wrong with a policy, and with running it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.errors import MalformedError, printable


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.attestation.policy.syntax import Rule

_MOST_SHOWN: Final = 60


class PolicySyntaxError(MalformedError):
    """
    A text that is no policy.

    Attributes:
        line: The line where it goes wrong, from 1.
        column: The column there, from 1.
        found: What stands there.
        expected: What should, or why that cannot be.
        path: In which parts of the policy that is, the outermost first.
    """

    default_reason = "policy-syntax"

    def __init__(
        self,
        place: tuple[int, int],
        found: str,
        expected: str,
        path: Sequence[str] = (),
        *,
        reason: str | None = None,
    ) -> None:
        self.line, self.column = place
        self.found = _show(found)
        self.expected = expected
        self.path = ("policy", *path)
        msg = (
            f"line {self.line}, column {self.column}: found {self.found}, "
            f"{expected} (in {' > '.join(self.path)})"
        )
        super().__init__(msg, reason=reason)

    @property
    def as_azure(self) -> str:
        """The same as Azure Attestation words it."""
        why = f"{self.found}, {self.expected}"
        if self.expected.startswith("expected "):
            wanted = self.expected.removeprefix("expected ")
            why = f"mismatched input {self.found} expecting {wanted}"
        return (
            f"Offending symbol: {self.found} Line: '{self.line}', "
            f"Column: '{self.column}' Failure message: '{why}' "
            f"Failing rule: '{' > '.join(self.path)}'"
        )


def _show(found: str) -> str:
    if not found:
        return "the end of the text"
    if len(found) > _MOST_SHOWN:
        found = f"{found[:_MOST_SHOWN]}…"
    return f"'{printable(found)}'"


class PolicyEvaluationError(MalformedError):
    """
    A policy that cannot be run to its end on these claims.

    Attributes:
        rule: The rule that failed, if one did.
    """

    default_reason = "policy-evaluation"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.rule: Rule | None = None

    def __str__(self) -> str:
        """Say in which rule, if that is known."""
        text = super().__str__()
        if self.rule is None:
            return text
        return f"{text} (in the rule of line {self.rule.line})"
