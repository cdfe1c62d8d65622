"""
``thim client-config``: what clients are configured with, and a check of it.
"""

from __future__ import annotations

import json
import textwrap

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.completing import complete_tenants
from thim.cli.options import Config, Json, configure, find_own_url
from thim.client import recipes
from thim.client.findings import Level, worst
from thim.client.qcnl import MOST_BYTES, find_link, lint
from thim.client.qpl import qpl, qpl_windows
from thim.client.service import Service
from thim.errors import OperatorError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.client.findings import Finding
    from thim.client.service import Recipe

app = typer.Typer(no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where clients reach this service, such as "
        "https://thim.example:8443. Default: the address it listens on.",
    ),
]
Tenant = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="For the clients of this tenant.",
        autocompletion=complete_tenants,
    ),
]
Windows = Annotated[
    bool, typer.Option("--windows", help="For Windows, not Linux.")
]


@app.command("qpl")
def qpl_(
    url: Url = None,
    tenant: Tenant = None,
    local_pck_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="An agent on the client's machine that is asked for PCK "
            "certificates first, such as "
            "http://169.254.169.254/metadata/THIM/sgx/certification/v4/.",
        ),
    ] = None,
    windows: Windows = False,
    config: Config = None,
) -> None:
    """
    Intel's QPL: a whole sgx_default_qcnl.conf.
    """
    service = _service(url, tenant, config)
    local = _base(local_pck_url, "--local-pck-url")
    make = qpl_windows if windows else qpl
    _write(make(service, local))


@app.command("az-dcap")
def az_dcap(
    url: Url = None,
    tenant: Tenant = None,
    imds: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="An agent that is asked for PCK certificates first, such as "
            "http://169.254.169.254.",
        ),
    ] = None,
    windows: Windows = False,
    config: Config = None,
) -> None:
    """
    Azure's DCAP client: its environment.
    """
    service = _service(url, tenant, config)
    agent = _base(imds, "--imds")
    _write(recipes.az_dcap(service, agent, windows=windows))


@app.command("dcap-qvl")
def dcap_qvl(
    url: Url = None,
    tenant: Tenant = None,
    windows: Windows = False,
    config: Config = None,
) -> None:
    """
    Phala's dcap-qvl: its environment.
    """
    service = _service(url, tenant, config)
    _write(recipes.dcap_qvl(service, windows=windows))


@app.command("go-tdx-guest")
def go_tdx_guest(
    url: Url = None, tenant: Tenant = None, config: Config = None
) -> None:
    """
    Google's go-tdx-guest: lines for /etc/hosts.
    """
    service = _service(url, tenant, config)
    _write(recipes.go_tdx_guest(service))


@app.command("snpguest")
def snpguest(
    url: Url = None, tenant: Tenant = None, config: Config = None
) -> None:
    """
    VirTEE's snpguest: a line for /etc/hosts.
    """
    service = _service(url, tenant, config)
    _write(recipes.snpguest(service))


@app.command("trustee")
def trustee(
    url: Url = None, tenant: Tenant = None, config: Config = None
) -> None:
    """
    Trustee: a part of its configuration.
    """
    service = _service(url, tenant, config)
    _write(recipes.trustee(service))


@app.command("check")
def check(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="QCNL's settings, such as /etc/sgx_default_qcnl.conf.",
        ),
    ],
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask none of the URLs in it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Check the sgx_default_qcnl.conf of Intel's QPL.

    Exit code 0: nothing worse than a note; 1: a warning; 2: an error.
    """
    linted = lint(_read(file))
    findings = find_link(file) + linted.findings
    if linted.wanted is not None and not offline:
        from thim.client.probe import probe  # noqa: PLC0415 - loads a client

        findings += probe(linted.wanted)
    level = worst(findings)
    if as_json:
        typer.echo(json.dumps(_as_json(file, level, findings), indent=2))
    else:
        _write_findings(file, findings)
    raise typer.Exit(int(level))


def _service(
    url: str | None, tenant: str | None, config: Path | None
) -> Service:
    if url is not None:
        return Service.from_text(url, tenant)
    listening = find_own_url(configure({}, config))
    typer.echo(
        f"{listening} is where the configuration has this service listen: "
        "clients on other machines need --url",
        err=True,
    )
    return Service.from_text(listening, tenant)


def _base(url: str | None, option: str) -> str | None:
    if url is None:
        return None
    # It goes into files and shells: only what is safe in both.
    try:
        Service.from_text(url)
    except OperatorError:
        msg = f"{option}: expected http://HOST… without user, blanks or query"
        raise OperatorError(msg, reason="client-url") from None
    return url.rstrip("/")


def _write(recipe: Recipe) -> None:
    typer.echo(recipe.text, nl=False)
    for note in recipe.notes:
        wrapped = textwrap.fill(
            note,
            78,
            initial_indent="* ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        typer.echo(wrapped, err=True)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as e:
        msg = f"{file}: {e.strerror}"
        raise OperatorError(msg, reason="client-file") from e


def _write_findings(file: Path, findings: Sequence[Finding]) -> None:
    for found in findings:
        place = f":{found.line}:{found.column}" if found.line else ""
        _echo(
            f"{file}{place}: {found.level.word}: {found.message} [{found.name}]"
        )
    counts = [
        f"{n} {level.word}{'' if n == 1 else 's'}"
        for level in reversed(Level)
        if (n := sum(f.level is level for f in findings))
    ]
    _echo(f"{file}: {', '.join(counts) or 'nothing found'}")


def _echo(text: str) -> None:
    # The file may quote what no terminal could show.
    shown = text.encode("utf-8", "backslashreplace").decode()
    typer.echo("".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown))


def _as_json(
    file: Path, level: Level, findings: Sequence[Finding]
) -> dict[str, object]:
    return {
        "file": str(file),
        "level": level.word,
        "findings": [found.to_json() for found in findings],
    }
