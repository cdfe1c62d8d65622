"""
``thim``: the command line.
"""

from __future__ import annotations

import sys

from typing import TYPE_CHECKING

from thim.cli.failing import failing_in_one_line


if TYPE_CHECKING:
    import typer


def main() -> None:
    """
    Run the command line; what was raised on purpose becomes one line and the
    exit code 2.
    """
    with failing_in_one_line():
        _find_app()()


def _find_app() -> typer.Typer:
    if sys.argv[1:2] == ["agent"]:
        # It is for small machines: what only others need is left out.
        from thim.cli.agent import app  # noqa: PLC0415
    else:
        from thim.cli.commands import app  # noqa: PLC0415
    return app
