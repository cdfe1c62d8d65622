"""
How commands write what they have found, or done: for people, or as JSON.
"""

from __future__ import annotations

import json

from typing import TYPE_CHECKING, Any

import typer

from thim.cli.tables import find_width, lay_line, write_table
from thim.errors import printable


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def write_json(value: object) -> None:
    """
    Print *value* as JSON.
    """
    typer.echo(json.dumps(value, indent=2))


def write_done(
    done: Mapping[str, object], *lines: str, as_json: bool = False
) -> None:
    """
    Print what was *done*: as JSON, or as *lines* for people. What is in them
    cannot drive a terminal.
    """
    if as_json:
        write_json(done)
        return
    for line in lines:
        say(line)


def say(text: str) -> None:
    """
    Print a line; what is in it cannot drive a terminal, and on one that is too
    narrow it goes on below where its second column begins.
    """
    for line in lay_line(printable(text), find_width()):
        typer.echo(line)


def write_rows(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """
    Print *rows* as a table.
    """
    write_table(
        [column.replace("_", " ") for column in columns],
        [[spell(row[column]) for column in columns] for row in rows],
    )


def spell(value: object) -> str:
    """
    Write a value for people.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
