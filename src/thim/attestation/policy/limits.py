"""
How much a policy may ask for.

Steps stand for time: what costs one takes about a tenth of a microsecond to
half a one.  Elements and characters stand for memory.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.attestation.policy.errors import PolicyEvaluationError


if TYPE_CHECKING:
    from collections.abc import Callable

#: In bytes of UTF-8.
MAX_POLICY_SIZE: Final = 1024 * 1024
MAX_DRAFT_SIZE: Final = 64 * 1024
#: How deep calls, JSON and the parts of a query may nest.
MAX_NESTING: Final = 64

#: After so many steps it is asked again whether time is over.
_PATIENCE: Final = 2_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """
    What one evaluation may take.

    Attributes:
        steps: Elementary operations.
        elements: Claims, and elements of JSON values, that are made.
        characters: The length of all texts that are made.
        is_over: Asked now and then: whether there is no time left.
    """

    steps: int = 60_000
    elements: int = 40_000
    characters: int = 1024 * 1024
    is_over: Callable[[], bool] | None = None


class Meter:
    """
    What is left of a budget.
    """

    __slots__ = ("_asked_at", "_is_over", "characters", "elements", "steps")

    def __init__(self, budget: Budget) -> None:
        self.steps = budget.steps
        self.elements = budget.elements
        self.characters = budget.characters
        self._is_over = budget.is_over
        self._asked_at = self._next_question()

    def _next_question(self) -> int:
        return 0 if self._is_over is None else self.steps - _PATIENCE

    def spend(self, steps: int) -> None:
        """
        Take *steps* steps.

        Raises:
            PolicyEvaluationError: So many are not left, or the time is over.
        """
        self.steps -= steps
        if self.steps < self._asked_at:
            self._ask()

    def _ask(self) -> None:
        if self.steps < 0:
            raise _exhausted("steps")
        if self._is_over is not None and self._is_over():
            raise _exhausted("time")
        self._asked_at = max(0, self._next_question())

    def make(self, elements: int, characters: int = 0) -> None:
        """
        Make room for *elements* elements and so many *characters*.

        Raises:
            PolicyEvaluationError: So much is not left.
        """
        self.elements -= elements
        if self.elements < 0:
            raise _exhausted("elements")
        if characters:
            self.characters -= characters
            if self.characters < 0:
                raise _exhausted("characters")


def _exhausted(what: str) -> PolicyEvaluationError:
    msg = f"the policy takes more {what} than one evaluation has"
    return PolicyEvaluationError(msg, reason="policy-budget")
