"""
Apply plans in processes of their own, which can be killed.

Reads a store and the number of a plan, separated by a tab, one a line.  For
each it starts a process that writes its number, reads the plan, and applies it;
``end`` and its exit status are written when it is gone.
"""

import os
import sys

from pathlib import Path

from tests.services.changes import planning
from tests.services.made import INTEL
from thim.store.ledger import Ledger


def apply(store: Path, plan_id: int) -> None:
    """
    Apply the next stage of a plan.
    """
    with Ledger(store, INTEL.anchors) as ledger:
        planner = planning(ledger)
        planner.apply(planner.read(plan_id))


def main() -> None:
    """
    Serve one line after the other.
    """
    for line in sys.stdin:
        store, plan_id = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            _say(str(os.getpid()))
            apply(Path(store), int(plan_id))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        _say(f"end {os.waitstatus_to_exitcode(status)}")


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    main()
