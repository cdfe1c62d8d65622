"""
``thim``: the command line.
"""

from __future__ import annotations

import sys

from thim.cli.failing import failing_in_one_line


def main() -> None:
    """
    Run the command line; what was raised on purpose becomes one line and the
    exit code 2.
    """
    with failing_in_one_line():
        from thim.cli.commands import find_command  # noqa: PLC0415 - Ctrl-C

        find_command(next(iter(sys.argv[1:]), ""))()
