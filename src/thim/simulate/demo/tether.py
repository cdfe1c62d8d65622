"""
``python -m thim.simulate.demo.tether PID ARGUMENT…``: run Python with these
arguments for as long as the process *PID*, which has started it, lives.

Who is killed ends no children; Linux does it for them, and a program that takes
this one's place stays bound.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from typing import Final


#: ``PR_SET_PDEATHSIG`` of prctl(2).
_ON_PARENTS_DEATH: Final = 1


def main() -> None:
    """
    Become Python with the arguments behind the first.
    """
    ctypes.CDLL(None).prctl(_ON_PARENTS_DEATH, signal.SIGTERM)
    if os.getppid() == int(sys.argv[1]):  # else it was killed before this
        os.execv(sys.executable, [sys.executable, *sys.argv[2:]])  # noqa: S606


if __name__ == "__main__":
    main()
