"""
``thim config``: what the settings are, and where each comes from.
"""

from __future__ import annotations

import enum
import json

from datetime import timedelta

import typer

from thim.cli.checks import absent_of_server, check_settings
from thim.cli.config import Configuration
from thim.cli.options import Config, Json, Store, configure
from thim.cli.settings import SETTINGS
from thim.cli.showing import say, write_done
from thim.upstream.model import Upstream


app = typer.Typer(no_args_is_help=True)


@app.command()
def check(
    config: Config = None, store: Store = None, as_json: Json = False
) -> None:
    """
    Read the configuration in full and say whether it can be used.
    """
    found = configure({"store": store}, config)
    check_settings(found)
    notes = [
        f"{path} is not there: `thim serve` makes another"
        for path in absent_of_server(found)
    ]
    path = found["store"].value
    if not path.exists():
        notes.append(f"The store {path} is not there yet: `thim db init`")
    said = "The configuration can be used."
    write_done({"notes": notes}, said, *notes, as_json=as_json)


@app.command()
def show(
    config: Config = None, store: Store = None, as_json: Json = False
) -> None:
    """
    Show each setting, its value and its origin.
    """
    found = configure({"store": store}, config)
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2))
        return
    for name, value in found.items():
        shown = spell(value.value)
        say(f"{name:<22} {shown:<40} # {value.origin}")


def _as_json(found: Configuration) -> dict[str, dict[str, str | None]]:
    return {
        name: {
            "value": None if value.value is None else spell(value.value),
            "origin": value.origin,
            "meaning": SETTINGS[name].meaning,
        }
        for name, value in found.items()
    }


def spell(value: object) -> str:  # noqa: PLR0911 - one for each type
    """
    Write a setting's value as the configuration file would.
    """
    if value is None:
        return "-"
    if isinstance(value, bool | enum.Enum):
        return str(getattr(value, "value", value)).lower()
    if isinstance(value, timedelta):
        return _spell_duration(value)
    if isinstance(value, float):  # a share
        return f"{value * 100:.6g}%"
    if isinstance(value, frozenset | tuple):
        words = map(spell, value)
        in_order = words if isinstance(value, tuple) else sorted(words)
        return ", ".join(in_order) or "none"
    if isinstance(value, Upstream):
        return f"{value.service.value} {value.url}"
    return str(value)


def _spell_duration(value: timedelta) -> str:
    milliseconds = value // timedelta(milliseconds=1)
    seconds, rest = divmod(milliseconds, 1000)
    return f"{milliseconds}ms" if rest else f"{seconds}s"
