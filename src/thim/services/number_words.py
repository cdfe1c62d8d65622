"""
How two evaluation numbers differ, in words: for the command line and the
console.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.errors import printable
from thim.intel.difference import Goal


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.intel.difference import (
        GoalChange,
        Judgement,
        Move,
        PartDifference,
    )
    from thim.intel.tcb import Tcb, TcbStatus

_GOALS: Final = {
    Goal.UP_TO_DATE: "UpToDate",
    Goal.BASELINE: "UpToDate or SWHardeningNeeded",
}
LEGEND: Final = (
    "in parentheses: not a level of that number, but what a platform that has "
    "just this is told"
)


def spell_part(part: PartDifference, numbers: Sequence[str]) -> str:
    """
    Write whose identities a part compares, and who does not know it.
    """
    name = printable(part.name)
    if not part.is_before:
        return f"{name}, which {numbers[0]} does not know"
    if not part.is_after:
        return f"{name}, which {numbers[1]} does not know"
    return name


def find_telling(goals: Sequence[GoalChange]) -> Iterator[GoalChange]:
    """
    Leave out what says the same as the goal before it.
    """
    said: list[tuple[object, object]] = []
    for goal in goals:
        if (goal.before, goal.after) not in said:
            yield goal
        if goal.before is not None or goal.after is not None:
            said.append((goal.before, goal.after))


def spell_goal(goal: GoalChange, numbers: Sequence[str]) -> str:
    """
    Write what a goal asks for, in one number and in the other.
    """
    name = _GOALS[goal.goal]
    if goal.before is None and goal.after is None:
        return f"{name}: no level is, of either"
    if goal.before is None and goal.after is not None:
        asked = spell_asked(goal.after)
        return f"{name}: no level of {numbers[0]} is, then {asked}"
    if goal.after is None and goal.before is not None:
        asked = spell_asked(goal.before)
        return f"{name}: {asked}, but no level of {numbers[1]} is"
    if not goal.is_change:
        return f"{name} asks for the same"
    return f"{name} asks for"


def spell_move(move: Move) -> str:
    """
    Write how many levels have another status, and which.
    """
    count = len(move.asked)
    return (
        f"{count} level{'' if count == 1 else 's'}: {_status(move.before)}, "
        f"then {_status(move.after)}"
    )


def _status(status: TcbStatus | None) -> str:
    return "below every level" if status is None else status.value


def spell_judgement(judgement: Judgement | None) -> str:
    """
    Write what one side says of a level: in parentheses if it has no such level.
    """
    if judgement is None:
        return "-"
    text = judgement.status.value
    if judgement.tcb_date is not None:
        text += f" {judgement.tcb_date:%F}"
    return text if judgement.is_listed else f"({text})"


def spell_asked(asked: Tcb | int) -> str:
    """
    Write what a level asks for, without the components that may be anything.
    """
    if isinstance(asked, int):
        return f"ISVSVN {asked}"
    text = f"SGX {_spell_svns(asked.sgx)}, PCESVN {asked.pcesvn}"
    return f"{text}, TDX {_spell_svns(asked.tdx)}" if asked.tdx else text


def _spell_svns(svns: bytes) -> str:
    return " ".join(map(str, svns.rstrip(b"\0"))) or "0"
