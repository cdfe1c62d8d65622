"""
``thim``: the command line.
"""

from __future__ import annotations

import sys

from importlib import metadata
from typing import Annotated

import typer

from thim.cli import (
    clients,
    collateral,
    configuration,
    database,
    init,
    pccs_import,
    platforms,
    refreshing,
    refusals,
    serve,
    simulate,
    statuses,
    tls,
    tokens,
    trust,
)
from thim.errors import ThimError


app = typer.Typer(
    name="thim",
    no_args_is_help=True,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
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


app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("simulate")(simulate.simulate)
app.command("status")(statuses.status)
collateral.app.command("refresh")(refreshing.refresh)
collateral.app.command("status")(refreshing.status)
collateral.app.command("refused")(refusals.refused)
app.add_typer(refreshing.upstream_app, name="upstream")
app.add_typer(trust.app, name="trust")
app.add_typer(tokens.app, name="token")
app.add_typer(tls.app, name="tls")
app.add_typer(collateral.app, name="collateral")
app.add_typer(platforms.app, name="platform")
app.add_typer(pccs_import.app, name="import")
app.add_typer(database.app, name="db")
app.add_typer(configuration.app, name="config")
app.add_typer(clients.app, name="client-config")


def main() -> None:
    """
    Run the command line; what was raised on purpose becomes one line and the
    exit code 2.
    """
    try:
        app()
    except ThimError as e:
        # An argument that is no text must not break the message about it.
        text = str(e).encode("utf-8", "backslashreplace").decode("utf-8")
        sys.stderr.write(f"thim: {text}\n")
        sys.exit(2)
