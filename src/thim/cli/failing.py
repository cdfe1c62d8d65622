"""
How a command fails.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys

from typing import TYPE_CHECKING, Final

from thim.errors import ThimError, printable


if TYPE_CHECKING:
    from collections.abc import Iterator


_INTERRUPTED: Final = 128 + signal.SIGINT
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


@contextlib.contextmanager
def failing_in_one_line() -> Iterator[None]:
    """
    Turn what was raised on purpose into one line and the exit code 2, and
    Ctrl-C into 130.

    A disk that is full below the standard output is said in a line too.
    """
    try:
        yield
    except KeyboardInterrupt:
        # Before the parser of the command line is there to notice.
        sys.exit(_INTERRUPTED)
    except ThimError as e:
        # An argument may be no text, or drive the terminal.
        tell(f"thim: {printable(str(e))}")
        sys.exit(2)
    except OSError as e:
        if e.errno not in _FULL or e.filename is not None:
            raise
        # What is left of it goes nowhere, or the end would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        tell(f"thim: the output cannot be written: {e.strerror}")
        sys.exit(2)


def tell(text: str) -> None:
    """
    Write *text* as a line to standard error; where that is closed or full
    nobody hears it, and the exit code must do.
    """
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
    except OSError:
        sys.stderr = None
