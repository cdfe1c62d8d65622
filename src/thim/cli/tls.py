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
from thim.cli.options import Config, Json, configure
from thim.cli.showing import write_json
from thim.cli.trusting import how_to_trust, how_to_trust_next
from thim.errors import OperatorError, ParameterError
from thim.services.clock import utc_now
from thim.services.pki import read_certificate, renew
from thim.services.rollover import make_next_ca, next_files, switch_ca
from thim.x509.issue import ca_hosts, server_hosts, spell_hosts


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cryptography.x509 import Certificate

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
    as_json: Json = False,
) -> None:
    """
    Give the server a new key and certificate of its private CA, now.

    Running services take it within seconds.
    """
    files = _find_files(config)
    hosts = find_hosts(name) if name else None
    done: dict[str, object] = {}
    lines: list[str] = []
    if new_ca:
        ca = make_next_ca(files, utc_now(), hosts)
        if not switch:
            path = next_files(files).ca_cert
            done["new_ca"] = str(path)
            lines += _next_lines(ca, path, files.ca_cert)
    if switch or not new_ca:
        server = _issue(files, hosts, is_switch=switch)
        done |= _server_json(files, server)
        lines += _server_lines(files, server, is_switch=switch)
    if new_ca and switch:
        ca = read_certificate(files.ca_cert)
        lines += ["", how_to_trust(ca, files.ca_cert)]
    if as_json:
        write_json(done)
    else:
        typer.echo("\n".join(lines))


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


def _next_lines(ca: Certificate, path: Path, before: Path) -> Iterator[str]:
    yield f"a new CA is in {path}, for {spell_hosts(ca_hosts(ca))};"
    yield "nothing else has changed. Have clients trust it beside the old"
    yield "one, then `thim tls renew --switch` takes it into use."
    yield f"\n{how_to_trust_next(ca, path, before)}"


def _issue(
    files: PkiFiles, hosts: Sequence[Host] | None, *, is_switch: bool
) -> Certificate:
    issue = switch_ca if is_switch else renew
    try:
        return issue(files, utc_now(), hosts)
    except ParameterError as e:
        msg = f"{e}; --new-ca makes a CA for other names"
        raise OperatorError(msg, reason="tls-names") from e


def _server_json(files: PkiFiles, server: Certificate) -> dict[str, object]:
    return {
        "certificate": str(files.cert),
        "valid_until": f"{server.not_valid_after_utc:%FT%TZ}",
        "hosts": [str(host.value) for host in server_hosts(server)],
    }


def _server_lines(
    files: PkiFiles, server: Certificate, *, is_switch: bool
) -> Iterator[str]:
    yield f"{files.cert} is valid until {server.not_valid_after_utc:%FT%TZ}"
    yield f"for {spell_hosts(server_hosts(server))}"
    if is_switch:
        yield "what it replaced is in files that end in .old"
