"""
``thim``: the command line.
"""

from __future__ import annotations

import functools
import sys

from typing import TYPE_CHECKING

from thim.cli.failing import failing_in_one_line


if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """
    Run the command line; what was raised on purpose becomes one line and the
    exit code 2.
    """
    with failing_in_one_line():
        _find_command(agent=sys.argv[1:2] == ["agent"])()


@functools.cache
def _find_command(*, agent: bool) -> Callable[[], None]:
    # All signatures are read for it, which takes long: once is enough.
    from typer.main import get_command  # noqa: PLC0415

    if agent:
        # It is for small machines: what only others need is left out.
        from thim.cli.agent import app  # noqa: PLC0415
    else:
        from thim.cli.commands import app  # noqa: PLC0415
    return get_command(app)
