"""
Options that several commands share, and what they lead to.
"""

from __future__ import annotations

import os

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thim.cli.config import Configuration, load


if TYPE_CHECKING:
    from collections.abc import Mapping

Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The store: sqlite:///PATH or a path. Also THIM_STORE; default: "
        "an SQLite file in your data folder.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Configuration file, TOML. Also THIM_CONFIG; default: "
        "/etc/thim/thim.toml if it is there.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Write JSON instead of a table.")
]


def configure(
    flags: Mapping[str, object], config: Path | None
) -> Configuration:
    """
    Gather the settings of this run.

    Raises:
        OperatorError: As ``cli.config.load``.
    """
    return load(flags, os.environ, config)


def find_store(store: str | None, config: Path | None) -> Path:
    """
    Return the store's file for a command that takes nothing but a store.

    Raises:
        OperatorError: As ``cli.config.load``.
    """
    path: Path = configure({"store": store}, config)["store"].value
    return path
