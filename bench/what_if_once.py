"""
``python -m bench.what_if_once STORE SNAPSHOT``: ask once what a store's fleet,
or a snapshot's if that is a file, makes of the numbers 17 and 18, and say what
it took.
"""

from __future__ import annotations

import json
import sys
import time

from pathlib import Path

from thim.baseline.snapshot import unpack_fleet
from thim.services.clock import utc_now
from thim.services.fleet import DocumentReader, what_if
from thim.store.fleet_view import FleetView
from thim.store.replica import Replica


def main() -> None:
    """
    Ask, and print the flips, the seconds of CPU, and the most memory that was
    taken, in KiB.
    """
    store, snapshot = map(Path, sys.argv[1:])
    replica = Replica(store)
    view, reader = FleetView(replica), DocumentReader(replica)
    if snapshot.is_file():
        fleet = unpack_fleet(snapshot.read_bytes())
    else:
        fleet = view.load(utc_now())
    before, after = (reader.read(number, fleet.fmspcs) for number in (17, 18))
    found = what_if(fleet, before, after, view.names)
    report = {
        "flips": sum(tee.flips for tee in found.tees),
        "named": len(found.flips),
        "cpu": time.process_time(),
        "memory": _most_memory(),
    }
    print(json.dumps(report))


def _most_memory() -> int:
    # What getrusage tells is the parent's, if that was larger.
    status = Path("/proc/self/status").read_text("ascii")
    (line,) = (s for s in status.splitlines() if s.startswith("VmHWM:"))
    return int(line.split()[1])


if __name__ == "__main__":
    main()
