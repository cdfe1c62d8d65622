"""
How two documents of one kind differ, as a page shows it.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.intel.difference import TcbInfoDifference, find_moves
from thim.services.number_words import (
    find_telling,
    spell_asked,
    spell_goal,
    spell_judgement,
    spell_move,
    spell_part,
)


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.intel.difference import (
        AdvisoryChange,
        FieldChange,
        PartDifference,
        SvnChange,
    )
    from thim.services.number_diff import IdentityPair, TcbInfoPair


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """
    What either number says of what a level asks for.
    """

    asked: str
    before: str
    after: str
    advisories: AdvisoryChange


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """
    What differs in a part of a document: *goals* are what is asked for, each
    with the SVNs that changed, *moves* which statuses changed.
    """

    title: str
    fields: Sequence[FieldChange]
    goals: Sequence[tuple[str, Sequence[SvnChange]]]
    moves: Sequence[str]
    levels: Sequence[Level]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """
    Two documents that differ: when each was issued, and in what.
    """

    name: str
    issued: Sequence[datetime]
    sections: Sequence[Section]


def describe_pair(
    pair: TcbInfoPair | IdentityPair, before: int, after: int
) -> Differing:
    """
    Say how the documents of *pair* differ, those of the number *before* and
    those of *after*.
    """
    sides = [side for side in (pair.before, pair.after) if side is not None]
    return Differing(
        name=str(pair),
        issued=[side.issued for side in sides],
        sections=list(_describe(pair, (str(before), str(after)))),
    )


def _describe(
    pair: TcbInfoPair | IdentityPair, numbers: Sequence[str]
) -> Iterator[Section]:
    difference = pair.difference
    if difference is None:
        return
    yield _section("", difference, numbers)
    if isinstance(difference, TcbInfoDifference):
        for module in difference.modules:
            if module.is_change:
                title = f"TDX module {spell_part(module, numbers)}"
                yield _section(title, module, numbers)


def _section(
    title: str,
    difference: TcbInfoDifference | PartDifference,
    numbers: Sequence[str],
) -> Section:
    return Section(
        title=title,
        fields=difference.fields,
        goals=[
            (spell_goal(goal, numbers), goal.svns)
            for goal in find_telling(difference.goals)
        ],
        moves=[spell_move(move) for move in find_moves(difference.levels)],
        levels=[
            Level(
                asked=spell_asked(level.asked),
                before=spell_judgement(level.before),
                after=spell_judgement(level.after),
                advisories=level.advisories,
            )
            for level in difference.levels
            if level.is_change
        ],
    )
