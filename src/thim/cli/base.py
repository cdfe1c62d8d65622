"""
What the command line begins with: its name and its own options.
"""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer


def make_app() -> typer.Typer:
    """
    Make a command line without commands.
    """
    app = typer.Typer(
        name="thim",
        no_args_is_help=True,
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    return app


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True),
    ] = False,
) -> None:
    """
    Trusted hardware identity management: collateral, verified, kept for ever,
    served by baseline.
    """
    if version:
        typer.echo(metadata.version("thim"))
        raise typer.Exit
