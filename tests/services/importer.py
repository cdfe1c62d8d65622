"""
Import a folder in processes of their own, which can be killed.

Reads a store, a folder, and ``exit`` or ``stay``, separated by tabs, one a
line.  For each it starts a process that writes its number, imports the folder
and writes a line for each result as it is yielded, which is after its commit.
Then that process exits, or stays until it is killed; ``end`` and its exit
status are written when it is gone.
"""

import os
import signal
import sys

from pathlib import Path

from tests.services.made import INTEL, NOW
from thim.services.ingest import ingest
from thim.store.ledger import Ledger


def import_folder(store: Path, folder: Path) -> None:
    """
    Import *folder* and say what became of each document.
    """
    files = [(f.name, f.read_bytes()) for f in sorted(folder.iterdir())]
    with Ledger(store, INTEL.anchors) as ledger:
        for result in ingest(files, ledger=ledger, now=NOW):
            _say(f"{result.outcome.value} {result.source}")


def main() -> None:
    """
    Serve one line after the other.
    """
    for line in sys.stdin:
        store, folder, then = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            _say(str(os.getpid()))
            import_folder(Path(store), Path(folder))
            if then == "stay":
                signal.pause()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        _say(f"end {os.waitstatus_to_exitcode(status)}")


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    main()
