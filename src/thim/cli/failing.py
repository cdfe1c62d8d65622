"""
How a command fails.
"""

from __future__ import annotations

import contextlib
import sys

from typing import TYPE_CHECKING

from thim.errors import ThimError, printable


if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def failing_in_one_line() -> Iterator[None]:
    """
    Turn what was raised on purpose into one line and the exit code 2.
    """
    try:
        yield
    except ThimError as e:
        # An argument may be no text, or drive the terminal.
        sys.stderr.write(f"thim: {printable(str(e))}\n")
        sys.exit(2)
