"""
What the command line begins with: its name, its own options, its page.
"""

from __future__ import annotations

import shutil

from importlib import metadata
from typing import Annotated, Any, Final

import typer

from typer._click.shell_completion import (
    CompletionItem,
)
from typer.core import TyperGroup

from thim.cli.page import CLOSING, SECTIONS, spell_examples


#: Columns from which on typer sees to it that help fits.
_USUAL: Final = 52
_NAME_WIDTH: Final = max(len(n) for names in SECTIONS.values() for n in names)


class Page(TyperGroup):
    """The command line itself: what it shows and completes, loads nothing."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - typer's
        """
        Name all commands, in the order of the page.
        """
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """
        Write the sections of the page.
        """
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (name.ljust(_NAME_WIDTH), purpose)
                        for name, purpose in commands.items()
                    ]
                )

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """
        Write examples, and what holds for all commands.
        """
        for text in (spell_examples("") or "", CLOSING.strip()):
            formatter.write_paragraph()
            formatter.write_text(text)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:  # noqa: ANN401
        """
        Complete the name of a command, or an option of ``thim`` itself.
        """
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=purpose)
            for commands in SECTIONS.values()
            for name, purpose in commands.items()
            if name.startswith(incomplete)
        ]


def make_app() -> typer.Typer:
    """
    Make a command line without commands.
    """
    app = typer.Typer(
        name="thim",
        cls=Page,
        no_args_is_help=True,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "terminal_width": _narrow_width(),
        },
    )
    app.callback()(_options)
    return app


def _narrow_width() -> int | None:
    """Return the width of a terminal that is narrower than typer expects."""
    columns = shutil.get_terminal_size().columns
    return max(columns - 2, 20) if columns < _USUAL else None


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
