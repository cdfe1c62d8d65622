"""
``thim tls``: the private CA's certificate for the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.checks import pki_files
from thim.cli.hosts import Names, find_hosts
from thim.cli.options import Config, configure
from thim.cli.trusting import how_to_trust
from thim.errors import OperatorError, ParameterError
from thim.services.clock import utc_now
from thim.services.pki import read_certificate, renew, replace_ca
from thim.x509.issue import server_hosts, spell_hosts


if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate

    from thim.services.pki import PkiFiles
    from thim.x509.issue import Host

app = typer.Typer(
    help="Renew the server's certificate by hand.", no_args_is_help=True
)


@app.callback()
def tls() -> None:
    """
    Renew the server's certificate by hand.
    """


@app.command("renew")
def renew_(
    name: Names = None,
    new_ca: Annotated[
        bool,
        typer.Option(
            "--new-ca",
            help="Make a new CA first, for other names or in the place of "
            "one that ends; clients must be told to trust it.",
        ),
    ] = False,
    config: Config = None,
) -> None:
    """
    Give the server a new key and certificate of its private CA, now.

    Running services take it within seconds. Without --name it is for the same
    names as before.
    """
    files = pki_files(configure({}, config))
    if files is None:
        msg = (
            "there is no private CA: tls_ca_cert and tls_ca_key are not set; "
            "replace your own certificate's files, and services take them"
        )
        raise OperatorError(msg, reason="config-tls")
    hosts = find_hosts(name) if name else None
    server = _renew(files, hosts, new_ca)
    last = f"{server.not_valid_after_utc:%FT%TZ}"
    typer.echo(f"{files.cert} is valid until {last}")
    typer.echo(f"for {spell_hosts(server_hosts(server))}")
    if new_ca:
        ca = read_certificate(files.ca_cert)
        typer.echo(f"\n{how_to_trust(ca, files.ca_cert)}")


def _renew(
    files: PkiFiles, hosts: Sequence[Host] | None, new_ca: bool
) -> Certificate:
    if new_ca:
        return replace_ca(files, utc_now(), hosts)
    try:
        return renew(files, utc_now(), hosts)
    except ParameterError as e:
        msg = f"{e}; --new-ca makes a CA for other names"
        raise OperatorError(msg, reason="tls-names") from e
