"""
``thim``: the command line.
"""

from __future__ import annotations

import os
import sys

from pathlib import Path
from typing import Final

from thim.cli.failing import failing_in_one_line


#: What a shell sets to have a line completed.
COMPLETE: Final = "_THIM_COMPLETE"


def main() -> None:
    """
    Run the command line; what was raised on purpose becomes one line and the
    exit code 2.
    """
    if sys.stdout is None:  # closed by its caller, who wants to hear nothing
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    with failing_in_one_line():
        from thim.cli.commands import make_command  # noqa: PLC0415 - Ctrl-C

        if COMPLETE in os.environ:
            from typer._completion_classes import (  # noqa: PLC0415
                completion_init,
            )

            completion_init()
        make_command()(prog_name="thim", complete_var=COMPLETE)
