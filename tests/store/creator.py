"""
Make stores in processes of their own, which can be raced and killed.

Reads the path of a store, the most bytes that a file may have, and ``exit`` or
``stay``, separated by tabs, one a line.  For each it starts a process that
makes the store and then exits, or stays until it is killed; it writes the
number of that process, and its exit status when it is gone.
"""

import os
import resource
import signal
import sys

from pathlib import Path

from tests.store.made import ANCHORS
from thim.errors import OperatorError
from thim.store.create import create_store


def make(path: Path) -> int:
    """
    Make the store in *path* and return an exit status.
    """
    try:
        create_store(path, ANCHORS)
    except OperatorError as e:
        sys.stderr.write(e.reason)
        sys.stderr.flush()
        return 2
    return 0


def limit_files(size: int) -> None:
    """
    Let every file be full at *size*.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def main() -> None:
    """
    Serve one line after the other.
    """
    for line in sys.stdin:
        path, size, then = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            limit_files(int(size))
            status = make(Path(path))
            if then == "stay":
                signal.pause()
            os._exit(status)
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
