"""
What a check of a client's settings finds.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(enum.IntEnum):
    """How bad a finding is; its value is the exit code that it leads to."""

    NOTE = 0
    WARNING = 1
    ERROR = 2

    @property
    def word(self) -> str:
        """
        Return its name as people read it.
        """
        return self.name.lower()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One finding: a stable *name* for machines, a *message* for people.

    *line* and *column* count from 1; None where it is in no single place.
    """

    level: Level
    name: str
    message: str
    line: int | None = None
    column: int | None = None

    def to_json(self) -> dict[str, object]:
        """
        Return it as a JSON object.
        """
        return {
            "level": self.level.word,
            "name": self.name,
            "line": self.line,
            "column": self.column,
            "message": self.message,
        }


def worst(findings: Iterable[Finding]) -> Level:
    """
    Return the level of the worst of *findings*; a note where there is none.
    """
    return max((f.level for f in findings), default=Level.NOTE)
