"""
A reader of Dockerfiles, as far as ours go.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex

from collections.abc import Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """
    An instruction, and what it is told.
    """

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """
        Return its words, flags left out; those of the exec form are a list.
        """
        if self.text.lstrip().startswith("["):
            return list(json.loads(self.text))
        return [
            word for word in shlex.split(self.text) if not word.startswith("--")
        ]


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """
    What is between one FROM and the next.
    """

    base: str
    name: str
    steps: Sequence[Step]

    def find(self, name: str) -> list[Step]:
        """
        Return the instructions of that name.
        """
        return [step for step in self.steps if step.name == name]


def read_dockerfile(path: Path) -> tuple[list[Step], list[Stage]]:
    """
    Return what stands before the first stage, and the stages.
    """
    lines = [
        line
        for line in path.read_text().splitlines()
        if not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\\\n", "", "\n".join(lines))
    steps = [
        Step(name, text.strip())
        for line in joined.splitlines()
        if line.strip()
        for name, _, text in [line.strip().partition(" ")]
    ]
    starts = [n for n, step in enumerate(steps) if step.name == "FROM"]
    stages = [
        _read_stage(steps[start], steps[start + 1 : end])
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]
    return steps[: starts[0]], stages


def _read_stage(first: Step, steps: Sequence[Step]) -> Stage:
    base, _, name = first.text.partition(" AS ")
    return Stage(base, name, steps)
