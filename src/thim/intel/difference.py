"""
How two TCB infos of one platform, or two identities of one enclave, differ.

Two evaluation numbers seldom list the same levels: each brings a level of its
own on top.  So the question is not only what both say of one level, but what a
platform that has exactly what a level asks for is told by either: by the level
itself, or by the first one that it reaches.
"""

from __future__ import annotations

import dataclasses
import enum

from typing import TYPE_CHECKING

from thim.intel.tcb import ACCEPTABLE_STATUSES, TcbStatus


if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from thim.intel.steps import Remedy
    from thim.intel.tcb import Tcb


class Goal(enum.Enum):
    """
    What somebody may want to reach.
    """

    UP_TO_DATE = "up-to-date"
    #: Up to date, or so that enclaves make up for what is left.
    BASELINE = "baseline"

    @property
    def statuses(self) -> frozenset[TcbStatus]:
        """
        What has reached it.
        """
        if self is Goal.BASELINE:
            return ACCEPTABLE_STATUSES
        return frozenset({TcbStatus.UP_TO_DATE})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """
    A member with another value; None on the side that has no such part.
    """

    name: str
    before: str | None
    after: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """
    What one side says of a TCB: *is_listed* by a level that asks for just
    that, and else by the first that it reaches.
    """

    status: TcbStatus
    tcb_date: datetime | None
    advisory_ids: frozenset[str]
    is_listed: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LevelChange:
    """
    What both sides say of what a level of either asks for: the TCB of a
    platform, or an ISVSVN; None where it is below every level.
    """

    asked: Tcb | int
    before: Judgement | None
    after: Judgement | None

    @property
    def is_change(self) -> bool:
        """
        Whether they say anything else, the TCB date and the listing included.
        """
        return self.before != self.after

    @property
    def statuses(self) -> tuple[TcbStatus | None, TcbStatus | None]:
        """
        The status before and after.
        """
        return (
            self.before.status if self.before else None,
            self.after.status if self.after else None,
        )

    @property
    def advisories(self) -> AdvisoryChange:
        """
        Which advisories apply to it since, and which no longer do.
        """
        return _compare_advisories([self])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdvisoryChange:
    """
    Advisories that only one side names, in order.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """
    What had one status and has another one now.
    """

    before: TcbStatus | None
    after: TcbStatus | None
    asked: tuple[Tcb | int, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SvnChange:
    """
    Another SVN that is asked for, what it is the SVN of, and what raises that.
    """

    name: str
    before: int
    after: int
    remedy: Remedy


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GoalChange:
    """
    The least that reaches a goal, on either side; None where nothing does,
    and then there are no *svns* to compare.
    """

    goal: Goal
    before: Tcb | int | None
    after: Tcb | int | None
    svns: tuple[SvnChange, ...]

    @property
    def is_change(self) -> bool:
        """
        Whether something else is asked for.
        """
        return self.before != self.after


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartDifference:
    """
    How the identities of an enclave, or of a TDX module, differ.

    *goals* has but `Goal.UP_TO_DATE`: such a part knows no status in between.
    *levels* are those of either side, the highest first, changed or not;
    *is_before* and *is_after* say which sides have such a part at all.
    """

    name: str
    is_before: bool
    is_after: bool
    fields: tuple[FieldChange, ...]
    goals: tuple[GoalChange, ...]
    levels: tuple[LevelChange, ...]

    @property
    def is_change(self) -> bool:
        """
        Whether they differ.
        """
        is_one_sided = self.is_before != self.is_after
        return bool(is_one_sided or self.fields or _any_change(self.levels))

    @property
    def advisories(self) -> AdvisoryChange:
        """
        The advisories that only one side names, at whatever level.
        """
        return _compare_advisories(self.levels)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfoDifference:
    """
    How two TCB infos of one FMSPC and TEE differ.

    *goals* has each goal; *levels* those of either side, the highest first,
    changed or not; *modules* the TDX modules of either, by their ids.
    """

    fields: tuple[FieldChange, ...]
    goals: tuple[GoalChange, ...]
    levels: tuple[LevelChange, ...]
    modules: tuple[PartDifference, ...]

    @property
    def is_change(self) -> bool:
        """
        Whether they differ in anything but when they were issued.
        """
        return bool(
            self.fields
            or _any_change(self.levels)
            or any(module.is_change for module in self.modules)
        )

    @property
    def advisories(self) -> AdvisoryChange:
        """
        The advisories that only one side names, at whatever level.
        """
        levels = [lev for module in self.modules for lev in module.levels]
        return _compare_advisories([*self.levels, *levels])


def find_moves(levels: Iterable[LevelChange]) -> tuple[Move, ...]:
    """
    Sort those of *levels* that have another status by which they had and have.
    """
    moves: dict[tuple[TcbStatus | None, TcbStatus | None], list[Tcb | int]] = {}
    for level in levels:
        before, after = level.statuses
        if before is not after:
            moves.setdefault((before, after), []).append(level.asked)
    return tuple(
        Move(before=before, after=after, asked=tuple(asked))
        for (before, after), asked in moves.items()
    )


def _any_change(levels: Iterable[LevelChange]) -> bool:
    return any(level.is_change for level in levels)


def _compare_advisories(levels: Iterable[LevelChange]) -> AdvisoryChange:
    both = [(level.before, level.after) for level in levels]
    before = {a for said, _ in both if said for a in said.advisory_ids}
    after = {a for _, said in both if said for a in said.advisory_ids}
    return AdvisoryChange(
        added=tuple(sorted(after - before)),
        removed=tuple(sorted(before - after)),
    )
