"""
Two evaluation numbers side by side, as the command line shows them.
"""

from __future__ import annotations

import dataclasses
import json

from typing import TYPE_CHECKING

import typer

from thim.cli.showing import say
from thim.cli.tables import write_table
from thim.errors import printable
from thim.intel.difference import TcbInfoDifference, find_moves
from thim.intel.tcb import Tcb
from thim.services.number_words import (
    LEGEND,
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
        GoalChange,
        Judgement,
        LevelChange,
        Move,
        PartDifference,
    )
    from thim.services.number_diff import (
        IdentityPair,
        NumberDifference,
        Source,
        TcbInfoPair,
    )


def show_diff(found: NumberDifference, *, as_json: bool = False) -> None:
    """
    Print how two numbers differ.
    """
    if as_json:
        typer.echo(json.dumps(diff_json(found), indent=2))
        return
    numbers = str(found.before), str(found.after)
    typer.echo(f"number {numbers[0]} and then {numbers[1]}")
    for line in _summary(found):
        say(line)
    for pair in found.pairs:
        difference = pair.difference
        if difference is not None and difference.is_change:
            typer.echo(f"\n{pair}{_issued(pair)}")
            _write_difference(difference, numbers)
        if isinstance(difference, TcbInfoDifference):
            _write_modules(difference.modules, numbers)
    if found.is_change:
        typer.echo(f"\n{LEGEND}")


def _summary(found: NumberDifference) -> Iterator[str]:
    for line in _spell_advisories(found.advisories):
        yield f"  {line}"
    for number, missing in (
        (found.before, found.missing_before),
        (found.after, found.missing_after),
    ):
        if missing:
            yield f"  {number} has no {', no '.join(missing)}"
    same = [
        str(pair)
        for pair in found.pairs
        if pair.difference is not None and not pair.difference.is_change
    ]
    if same:
        yield f"  without a difference: {', '.join(same)}"


def _issued(pair: TcbInfoPair | IdentityPair) -> str:
    sides = [side for side in (pair.before, pair.after) if side is not None]
    return ", issued " + " and ".join(f"{side.issued:%F}" for side in sides)


def _write_difference(
    difference: TcbInfoDifference | PartDifference, numbers: Sequence[str]
) -> None:
    for line in _spell_fields(difference.fields):
        typer.echo(f"  {line}")
    for goal in find_telling(difference.goals):
        typer.echo(f"  {spell_goal(goal, numbers)}")
        _write_svns(goal, numbers)
    for move in find_moves(difference.levels):
        typer.echo(f"  {spell_move(move)}")
    _write_levels(difference.levels, numbers)


def _write_modules(
    modules: Sequence[PartDifference], numbers: Sequence[str]
) -> None:
    for module in modules:
        if module.is_change:
            typer.echo(f"\nTDX module {spell_part(module, numbers)}")
            _write_difference(module, numbers)


def _spell_fields(fields: Sequence[FieldChange]) -> Iterator[str]:
    for field in fields:
        yield f"{field.name}: {field.before or '-'}, then {field.after or '-'}"


def _write_svns(goal: GoalChange, numbers: Sequence[str]) -> None:
    if goal.svns:
        rows = [
            (
                printable(svn.name),
                str(svn.before),
                str(svn.after),
                svn.remedy.value,
            )
            for svn in goal.svns
        ]
        write_table(("SVN of", *numbers, "comes with"), rows)


def _write_levels(
    levels: Sequence[LevelChange], numbers: Sequence[str]
) -> None:
    changed = [level for level in levels if level.is_change]
    if not changed:
        return
    write_table(
        ("level", *numbers, "new advisories", "advisories gone"),
        [
            (
                spell_asked(level.asked),
                spell_judgement(level.before),
                spell_judgement(level.after),
                _join(level.advisories.added),
                _join(level.advisories.removed),
            )
            for level in changed
        ],
    )


def _join(names: Sequence[str]) -> str:
    return printable(", ".join(names)) or "-"


def _spell_advisories(change: AdvisoryChange) -> Iterator[str]:
    if change.added:
        yield f"new advisories: {_join(change.added)}"
    if change.removed:
        yield f"advisories gone: {_join(change.removed)}"


def diff_json(found: NumberDifference) -> dict[str, object]:
    """
    Write how two numbers differ for machines.
    """
    return {
        "before": found.before,
        "after": found.after,
        "at": _date(found.at),
        "is_change": found.is_change,
        "advisories": _advisories_json(found.advisories),
        "missing_before": list(found.missing_before),
        "missing_after": list(found.missing_after),
        "tcb_infos": [
            {
                "fmspc": pair.fmspc,
                "tee": pair.tee.value,
                **_sides_json(pair),
                "difference": pair.difference and _info_json(pair.difference),
            }
            for pair in found.tcb_infos
        ],
        "identities": [
            {
                "id": pair.kind.value,
                **_sides_json(pair),
                "difference": pair.difference and _part_json(pair.difference),
            }
            for pair in found.identities
        ],
    }


def _sides_json(pair: TcbInfoPair | IdentityPair) -> dict[str, object]:
    return {
        "before": _source_json(pair.before),
        "after": _source_json(pair.after),
    }


def _source_json(source: Source | None) -> dict[str, object] | None:
    if source is None:
        return None
    return {
        "document": str(source.key),
        "issued": _date(source.issued),
        "next_update": _date(source.next_update),
    }


def _info_json(difference: TcbInfoDifference) -> dict[str, object]:
    return {
        **_difference_json(difference),
        "modules": [_part_json(module) for module in difference.modules],
    }


def _part_json(part: PartDifference) -> dict[str, object]:
    return {
        "id": part.name,
        "is_before": part.is_before,
        "is_after": part.is_after,
        **_difference_json(part),
    }


def _difference_json(
    difference: TcbInfoDifference | PartDifference,
) -> dict[str, object]:
    return {
        "is_change": difference.is_change,
        "fields": [dataclasses.asdict(field) for field in difference.fields],
        "goals": [_goal_json(goal) for goal in difference.goals],
        "moves": [_move_json(move) for move in find_moves(difference.levels)],
        "levels": [_level_json(level) for level in difference.levels],
        "advisories": _advisories_json(difference.advisories),
    }


def _goal_json(goal: GoalChange) -> dict[str, object]:
    return {
        "goal": goal.goal.value,
        "statuses": sorted(status.value for status in goal.goal.statuses),
        "before": _asked_json(goal.before),
        "after": _asked_json(goal.after),
        "svns": [
            {
                "name": svn.name,
                "before": svn.before,
                "after": svn.after,
                "remedy": svn.remedy.value,
            }
            for svn in goal.svns
        ],
    }


def _move_json(move: Move) -> dict[str, object]:
    return {
        "before": move.before and move.before.value,
        "after": move.after and move.after.value,
        "levels": [_asked_json(asked) for asked in move.asked],
    }


def _level_json(level: LevelChange) -> dict[str, object]:
    return {
        "tcb": _asked_json(level.asked),
        "before": _judgement_json(level.before),
        "after": _judgement_json(level.after),
        "advisories": _advisories_json(level.advisories),
    }


def _judgement_json(judgement: Judgement | None) -> dict[str, object] | None:
    if judgement is None:
        return None
    return {
        "status": judgement.status.value,
        "tcb_date": _date(judgement.tcb_date),
        "advisory_ids": sorted(judgement.advisory_ids),
        "is_listed": judgement.is_listed,
    }


def _asked_json(asked: Tcb | int | None) -> dict[str, object] | None:
    if asked is None:
        return None
    if isinstance(asked, int):
        return {"isvsvn": asked}
    tdx = {"tdx": list(asked.tdx)} if asked.tdx else {}
    return {"sgx": list(asked.sgx), "pcesvn": asked.pcesvn, **tdx}


def _advisories_json(change: AdvisoryChange) -> dict[str, object]:
    return {"added": list(change.added), "removed": list(change.removed)}


def _date(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%FT%TZ}"
