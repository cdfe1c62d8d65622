"""
``thim tls``: the private CA's certificate for the server.
"""

from __future__ import annotations

import os

from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.checks import pki_files
from thim.cli.config import default_files, find_file
from thim.cli.hosts import find_hosts
from thim.cli.options import Config, configure
from thim.cli.trusting import how_to_trust, how_to_trust_next
from thim.errors import OperatorError, ParameterError
from thim.services.clock import utc_now
from thim.services.pki import read_certificate, renew
from thim.services.rollover import make_next_ca, next_files, switch_ca
from thim.x509.issue import ca_hosts, server_hosts, spell_hosts


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from thim.services.pki import PkiFiles
    from thim.x509.issue import Host

app = typer.Typer(no_args_is_help=True)


@app.callback()
def tls() -> None:
    """
    Renew the server's certificate by hand.
    """


@app.command("renew")
def renew_(
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="HOST",
            help="A name or an address by which clients know the server; may "
            "be repeated. The names given replace all earlier ones; the "
            "loopback addresses are always added. Default: the same names as "
            "before, or with --switch those of the new CA.",
        ),
    ] = None,
    new_ca: Annotated[
        bool,
        typer.Option(
            "--new-ca",
            help="Make a new CA, for other names or in the place of one that "
            "ends or is lost, and change nothing else: clients must be told "
            "to trust it first.",
        ),
    ] = False,
    switch: Annotated[
        bool,
        typer.Option(
            "--switch",
            help="Take the new CA into use. What was in use is kept in files "
            "that end in .old. Together with --new-ca: at once, and clients "
            "that do not know the new CA fail.",
        ),
    ] = False,
    config: Config = None,
) -> None:
    """
    Give the server a new key and certificate of its private CA, now.

    Running services take it within seconds.
    """
    files = _find_files(config)
    hosts = find_hosts(name) if name else None
    if new_ca:
        _make_next(files, hosts, is_switch=switch)
    if switch or not new_ca:
        _issue(files, hosts, is_switch=switch)
    if new_ca and switch:
        ca = read_certificate(files.ca_cert)
        typer.echo(f"\n{how_to_trust(ca, files.ca_cert)}")


def _find_files(config: Path | None) -> PkiFiles:
    files = pki_files(configure({}, config))
    if files is not None:
        return files
    path = find_file(config, os.environ)
    if path is None:
        places = " nor ".join(map(str, default_files(os.environ)))
        where = f"no configuration was found: there is neither {places}"
        hint = "--config names another"
    else:
        where = f"configuration {path}: tls_ca_cert and tls_ca_key are not set"
        hint = "replace your own certificate's files, and services take them"
    msg = f"there is no private CA ({where}); {hint}"
    raise OperatorError(msg, reason="config-tls")


def _make_next(
    files: PkiFiles, hosts: Sequence[Host] | None, *, is_switch: bool
) -> None:
    ca = make_next_ca(files, utc_now(), hosts)
    if is_switch:
        return
    path = next_files(files).ca_cert
    typer.echo(f"a new CA is in {path}, for {spell_hosts(ca_hosts(ca))};")
    typer.echo("nothing else has changed. Have clients trust it beside the old")
    typer.echo("one, then `thim tls renew --switch` takes it into use.")
    typer.echo(f"\n{how_to_trust_next(ca, path, files.ca_cert)}")


def _issue(
    files: PkiFiles, hosts: Sequence[Host] | None, *, is_switch: bool
) -> None:
    issue = switch_ca if is_switch else renew
    try:
        server = issue(files, utc_now(), hosts)
    except ParameterError as e:
        msg = f"{e}; --new-ca makes a CA for other names"
        raise OperatorError(msg, reason="tls-names") from e
    typer.echo(
        f"{files.cert} is valid until {server.not_valid_after_utc:%FT%TZ}"
    )
    typer.echo(f"for {spell_hosts(server_hosts(server))}")
    if is_switch:
        typer.echo("what it replaced is in files that end in .old")
