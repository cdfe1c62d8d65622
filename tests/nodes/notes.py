"""
What the load writes down, one JSON object a line, by the clock that all
processes of a machine have in common.
"""

from __future__ import annotations

import dataclasses
import json
import math

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final


#: A request that ends in an error so soon after a node can be reached again
#: was under way, or waited for a connection that was.
GRACE: Final = 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A GET of a *node* that was not answered as it should be, and *why*."""

    node: str
    path: str
    start: float
    end: float
    why: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Something that a *node* said it has kept: of a *kind*, by its *name*."""

    kind: str
    name: str
    node: str
    at: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """For how long nobody was to reach a *node*."""

    node: str
    start: float
    end: float = math.inf

    def explains(self, failure: Failure) -> bool:
        """
        Tell whether a request failed because of it.
        """
        is_same = failure.node == self.node
        return (
            is_same
            and failure.end >= self.start
            and failure.start <= self.end + GRACE
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Notes:
    """
    What was written down in a file.
    """

    lines: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Notes:
        """
        Read a file, whose last line may still be written.
        """
        text, _, _ = path.read_text().rpartition("\n")
        return cls([json.loads(line) for line in text.splitlines()])

    def _of(self, what: str) -> Iterator[dict[str, Any]]:
        for line in self.lines:
            if line["what"] == what:
                yield {k: v for k, v in line.items() if k != "what"}

    def failures(self) -> list[Failure]:
        """
        List the GETs that failed.
        """
        return [Failure(**line) for line in self._of("failure")]

    def acknowledged(self) -> list[Acknowledged]:
        """
        List what is to be there for ever.
        """
        return [Acknowledged(**line) for line in self._of("kept")]

    def digests(self) -> set[str]:
        """
        Return the digests of all bodies.
        """
        return {line["digest"] for line in self._of("body")}

    def troubles(self) -> list[dict[str, Any]]:
        """
        List writes whose answer was neither a yes nor a comprehensible no.
        """
        return list(self._of("trouble"))

    def refusals(self) -> list[dict[str, Any]]:
        """
        List writes that were refused, or not answered.
        """
        return list(self._of("refused"))

    def seconds(self) -> list[dict[str, Any]]:
        """
        List how many GETs were answered, by the second and the node, and how
        long they took.
        """
        return list(self._of("second"))


def unexplained(
    failures: Iterable[Failure], gone: Sequence[Gone]
) -> list[Failure]:
    """
    List the failures at nodes that could be reached.
    """
    return [f for f in failures if not any(g.explains(f) for g in gone)]
