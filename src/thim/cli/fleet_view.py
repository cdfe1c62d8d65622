"""
The answer to a what-if: a table, JSON or CSV.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sys

from itertools import chain
from typing import TYPE_CHECKING, Final

from thim.cli.tables import write_table
from thim.services.fleet_question import to_json


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.baseline.rollout import Broken
    from thim.services.fleet_question import Answered

_COLUMNS: Final = (
    "name",
    "tee",
    "before",
    "after",
    "findings",
    "advisory_ids",
    "remedies",
)
_SHOWN: Final = 100


def write_answer(answered: Answered, form: str) -> None:
    """
    Write *answered* as ``table``, ``json`` or ``csv``.
    """
    if form == "csv":
        _write_csv(answered)
    elif form == "json":
        _write_json(answered)
    else:
        _write_tables(answered)


def _write_csv(answered: Answered) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*_COLUMNS, "by_when"])
    for broken in chain(answered.all_broken(), answered.all_below()):
        values = dataclasses.asdict(broken)
        row = [_join(values[column]) for column in _COLUMNS]
        # What begins like a formula is one to a spreadsheet.
        writer.writerow([*map(_defuse, row), answered.by_when])


def _join(value: object) -> str:
    return "; ".join(value) if isinstance(value, tuple) else str(value)


def _defuse(text: str) -> str:
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _write_json(answered: Answered) -> None:
    # One platform after the other: there may be a million.
    head = json.dumps(to_json(answered), indent=2).removesuffix("\n}")
    sys.stdout.write(head)
    _write_list("broken", answered.all_broken())
    _write_list("below_already", answered.all_below())
    sys.stdout.write("\n}\n")


def _write_list(name: str, listed: Iterator[Broken]) -> None:
    sys.stdout.write(f',\n  "{name}": [')
    separator = "\n    "
    for broken in listed:
        sys.stdout.write(separator + json.dumps(dataclasses.asdict(broken)))
        separator = ",\n    "
    sys.stdout.write("\n  ]")


def _write_tables(answered: Answered) -> None:
    facts = to_json(answered)
    sys.stdout.write(
        f"Tenant {facts['tenant']}: from {facts['baseline_now']} (number "
        f"{facts['number_now']}) to {facts['baseline']} (number "
        f"{facts['number']}).\n"
        f"{facts['platforms']} platforms, and {facts['unknown']} of which no "
        f"TCB is known. {facts['breaking']} would break.\n"
    )
    if facts["unjudged"]:
        sys.stdout.write(
            f"{facts['unjudged']} cannot be compared: {facts['number_now']} "
            "has no document of theirs here.\n"
        )
    sys.stdout.write(f"By when: {facts['by_when']} ({facts['confidence']}).\n")
    if facts["trouble"]:
        sys.stdout.write(f"Intel's are not compared: {facts['trouble']}.\n")
    rows = [
        (tee["tee"], each["now"], each["then"], str(each["platforms"]))
        for tee in facts["tees"]
        for each in tee["standings"]
        if each["now"] != "no-tdx-svns"
    ]
    if rows:
        write_table(("tee", "now", "then", "platforms"), rows)
    _write_broken(answered)
    below = sum(1 for _ in answered.all_below())
    if below:
        sys.stdout.write(
            f"{below} chips are below the minimum already: --csv or --json "
            "names them.\n"
        )


def _write_broken(answered: Answered) -> None:
    shown: list[list[str]] = []
    for broken in answered.all_broken():
        if len(shown) == _SHOWN:
            break
        values = dataclasses.asdict(broken)
        shown.append([_join(values[column]) for column in _COLUMNS])
    if not shown:
        return
    sys.stdout.write("\n")
    titles = [title.replace("_", " ") for title in _COLUMNS]
    write_table(titles, shown)
    more = answered.lines - len(shown)
    if more > 0:
        sys.stdout.write(
            f"and {more} more: --csv or --json names all of them.\n"
        )
