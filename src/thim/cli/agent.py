"""
``thim agent``: the metadata service beside guests.
"""

from __future__ import annotations

import os
import pickle
import sys

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from thim.cli.agent_settings import load_agent
from thim.cli.options import Config


if TYPE_CHECKING:
    from thim.agent.settings import AgentSettings


def agent(
    config: Config = None,
    service: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The thim to ask. Default: this machine's."
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Default: 169.254.169.254:80."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the cache is."),
    ] = None,
    chip: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="How to learn which chip this is, such as report=FILE. "
            "Default: by /dev/sev-guest or /dev/sev.",
        ),
    ] = None,
) -> None:
    """
    Answer guests as a cloud's metadata service does, from a local cache.

    Everything else is set in the table [agent] of the configuration.
    """
    flags = {
        "service": service,
        "listen": listen,
        "state": None if state is None else str(state),
        "chip": chip,
    }
    _become(load_agent(flags, os.environ, config))


def _become(settings: AgentSettings) -> NoReturn:
    """
    Go on as a process that has loaded only what an agent needs: reading a
    command line takes a third of the memory.
    """
    handle = os.memfd_create("thim-agent", flags=0)
    with open(handle, "wb", closefd=False) as file:
        pickle.dump(settings, file)
    os.lseek(handle, 0, os.SEEK_SET)
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "thim.cli.agent_process", str(handle)]
    os.execv(command[0], command)  # noqa: S606 - ourselves
