"""
How the making of a demo is watched, and ended early.
"""

from __future__ import annotations

import dataclasses

from collections.abc import Callable
from typing import Final


def _say_nothing(_line: str) -> None:
    """Keep it to oneself."""


def _go_on() -> None:
    """Let the work go on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """
    Who is told how far it is.

    Attributes:
        tell: Is told in a line what is made next.
        pulse: Is called between two pieces of work, once in a second or
            so; what it raises ends the work.
    """

    tell: Callable[[str], None] = _say_nothing
    pulse: Callable[[], None] = _go_on


#: Nobody is.
UNWATCHED: Final = Progress()
