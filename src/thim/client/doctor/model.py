"""
What was found, and what was seen besides.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING

from thim.client.findings import Level


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from thim.client.findings import Finding


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """
    One finding.

    Attributes:
        level: How bad it is.
        name: Stable, for machines.
        what: What was seen.
        where: The file and line, or the address.
        cause: What leads to it; empty where that is plain.
        mend: What to do.
    """

    level: Level
    name: str
    what: str
    where: str
    cause: str = ""
    mend: str = ""

    @classmethod
    def of(cls, finding: Finding, file: str, mend: str = "") -> Trouble:
        """
        Take what a check of *file* found.
        """
        line = f":{finding.line}" if finding.line else ""
        return cls(
            level=finding.level,
            name=finding.name,
            what=finding.message,
            where=f"{file}{line}",
            mend=mend,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """
    What was seen of one thing: names and values, in order.
    """

    title: str
    facts: tuple[tuple[str, str], ...]


class Kind(enum.Enum):
    """Whose way of asking it is."""

    QCNL = "qcnl"
    AZURE = "azure"
    OTHER = "other"
    AGENT = "agent"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    An address that somebody is told to ask.

    Attributes:
        url: As it is written.
        by: Who asks it, and by which setting.
        kind: Whose way of asking it is.
        where: Where it is written.
        is_verified: Whether that client looks at the server's certificate.
        ca_file: The CAs (PEM) that count there, instead of the system's.
        own: The certificate and key (PEM) that are shown there.
    """

    url: str
    by: str
    kind: Kind
    where: str = ""
    is_verified: bool = True
    ca_file: Path | None = None
    own: tuple[Path, Path] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    What one look came to.
    """

    sections: tuple[Section, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    targets: tuple[Target, ...] = ()

    def __add__(self, other: Found) -> Found:
        """
        Return both.
        """
        return Found(
            sections=(*self.sections, *other.sections),
            troubles=(*self.troubles, *other.troubles),
            targets=(*self.targets, *other.targets),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    All of it, at an instant; troubles with the worst first.

    *has_targets* where somebody is told to ask somebody.
    """

    at: datetime
    sections: tuple[Section, ...]
    troubles: tuple[Trouble, ...]
    has_targets: bool

    @classmethod
    def make(
        cls, at: datetime, found: Found, hide: Callable[[str], str]
    ) -> Report:
        """
        Make a report of what was *found*; no text goes in past *hide*.
        """
        troubles = (_hide_trouble(each, hide) for each in found.troubles)
        return cls(
            at=at,
            has_targets=bool(found.targets),
            sections=tuple(_hide_section(s, hide) for s in found.sections),
            troubles=tuple(
                # Sorting is stable: of one level, in the order of the looks.
                sorted(dict.fromkeys(troubles), key=lambda t: -t.level)
            ),
        )

    @property
    def level(self) -> Level:
        """
        The worst of all.
        """
        return max((t.level for t in self.troubles), default=Level.NOTE)

    @property
    def says_nothing(self) -> bool:
        """
        Whether there was nothing to look at, so that nobody knows.
        """
        return not (self.has_targets or self.troubles)


def _hide_trouble(trouble: Trouble, hide: Callable[[str], str]) -> Trouble:
    return dataclasses.replace(
        trouble,
        what=hide(trouble.what),
        where=hide(trouble.where),
        cause=hide(trouble.cause),
        mend=hide(trouble.mend),
    )


def _hide_section(section: Section, hide: Callable[[str], str]) -> Section:
    facts = tuple((hide(name), hide(value)) for name, value in section.facts)
    return Section(title=hide(section.title), facts=facts)
