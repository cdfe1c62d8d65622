"""
``thim completion``: what makes a shell complete these commands.
"""

from __future__ import annotations

import enum

from typing import Annotated, Final

import typer

from thim.cli.main import COMPLETE


class Shell(enum.StrEnum):
    """A shell that can be told how."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


#: A file that zsh loads when it first needs it has to complete that line too.
_AT_ONCE: Final = """
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _thim_completion "$@"
fi"""


def completion(
    shell: Annotated[
        Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")
    ],
) -> None:
    """
    Write what makes a shell complete these commands.

    Into a file from which the shell loads such, or at once for this one alone:
    `source <(thim completion bash)`.
    """
    from typer._completion_shared import (  # noqa: PLC0415 - lean
        get_completion_script,
    )

    script = get_completion_script(
        prog_name="thim", complete_var=COMPLETE, shell=shell.value
    )
    typer.echo(script)
    if shell is Shell.ZSH:
        typer.echo(_AT_ONCE)
