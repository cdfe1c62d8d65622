"""
``thim doctor``: what keeps clients on this machine from what they need.
"""

from __future__ import annotations

import asyncio
import os

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thim.cli.doctor_view import write_codes, write_report
from thim.cli.doctor_wish import Asked, link_local, look, make_wish, named
from thim.cli.failing import tell
from thim.cli.options import Config, Json
from thim.cli.verify import never_a_verdict
from thim.client.doctor.hiding import Hider
from thim.client.doctor.looks import drop_answered, examine_all
from thim.client.doctor.model import Found, Report
from thim.errors import ParameterError


if TYPE_CHECKING:
    from datetime import datetime

#: Nothing was there to be looked at, or a code is not known.
UNSAID: Final = 3
_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 60.0
_NOTHING: Final = (
    "thim: nothing here says whom to ask: name a service with --url, or QCNL's "
    "settings with --qcnl"
)


def doctor(
    url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="A service to look at, beside those in the settings found; "
            "may be given several times.",
        ),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="Only explain an error code: 0xe019, 57369, or its name.",
        ),
    ] = None,
    qcnl: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="QCNL's settings. Default: what QCNL_CONF_PATH names, or "
            "/etc/sgx_default_qcnl.conf.",
        ),
    ] = None,
    fmspc: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEX", help="Ask for the TCB info of these platforms."
        ),
    ] = None,
    tdx: Annotated[
        bool, typer.Option("--tdx", help="For TDX too, not SGX alone.")
    ] = False,
    platform: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ask for PCK certificates: CSV of Intel's PCK ID retrieval "
            "tool.",
        ),
    ] = None,
    quote: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ask for what verifies this quote or SEV-SNP report, and do.",
        ),
    ] = None,
    amd: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PRODUCT",
            help="Ask for AMD's chain and CRL: Milan, Genoa or Turin.",
        ),
    ] = None,
    imds: Annotated[
        bool,
        typer.Option("--imds", help="Ask 169.254.169.254 too, on any host."),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody.")
    ] = False,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PEM: CAs to trust instead of the system's, to try it out.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long each step may take."),
    ] = _SECONDS,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Find out what keeps clients on this machine from certificates and
    collateral, and what mends it; without a store, without root.

    Exit code 0: well. 1: look soon. 2: act now; also where the command cannot
    be used so. 3: there was nothing to look at, or the code is not known.
    """
    with never_a_verdict():
        if code is not None:
            is_known = write_codes(code, as_json=as_json)
            raise typer.Exit(0 if is_known else UNSAID)
        if not 0 < timeout <= _MOST_SECONDS:
            expected = f"expected more than 0 and up to {_MOST_SECONDS:g}"
            raise ParameterError("--timeout", f"{timeout:g}", expected)
        asked = Asked(
            fmspcs=tuple(fmspc or ()),
            with_tdx=tdx,
            platform=platform,
            quote=quote,
            products=tuple(amd or ()),
            seconds=timeout,
        )
        found = look(qcnl, ca_file, config) + named(url or [], ca_file)
        found += link_local() if imds else Found()
        wish = make_wish(asked, config)
        if not offline:
            found += asyncio.run(examine_all(found.targets, wish))
            found = drop_answered(found)
        raise typer.Exit(_write(found, wish.clock, as_json=as_json))


def _write(found: Found, at: datetime, *, as_json: bool) -> int:
    """
    Write a report of what was *found*; return what the command ends with.
    """
    hide = Hider([os.environ.get("HOME", "")])
    report = Report.make(at, found, hide)
    code = UNSAID if report.says_nothing else int(report.level)
    if not write_report(report, as_json=as_json):
        return UNSAID
    if report.says_nothing:
        tell(_NOTHING)
    return code
