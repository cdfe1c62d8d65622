"""
``thim simulate``: Intel's and AMD's services on this machine, with keys of
their own.
"""

from __future__ import annotations

import signal
import threading

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    world: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="World file, TOML. Default: a small world."
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Where Intel and AMD answer."),
    ] = "127.0.0.1:8181",
    admin: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="Where clock and faults are set."
        ),
    ] = "127.0.0.1:8182",
    write_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the configuration for `thim serve --config FILE`.",
        ),
    ] = None,
) -> None:
    """
    Simulate the vendors: Intel's PCS and AMD's KDS.

    They sign for real, with test keys that everybody has, so they listen on
    this machine only.  Their clock can be moved and faults be set.
    """
    from thim.simulate.server import simulating  # noqa: PLC0415 - loads a server
    from thim.simulate.setup import write_setup  # noqa: PLC0415 - as above

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with simulating(world, listen=listen, admin=admin) as simulated:
        if write_config is not None:
            write_setup(write_config, simulated)
            typer.echo(f"Start thim with: thim serve --config {write_config}")
        typer.echo(
            f"thim simulates Intel and AMD on {simulated.url}, "
            f"administered on {simulated.admin_url}"
        )
        ended.wait()
