"""
Every command of the command line, by its full name.
"""

import functools

from collections.abc import Iterator, Mapping
from typing import Any

from thim.cli.commands import make_command


@functools.cache
def all_commands() -> Mapping[str, Any]:
    """
    Load every command; groups are none.
    """
    return dict(_walk("", make_command()))


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, each in command.commands.items():
        yield from _walk(f"{name} {word}".strip(), each)
