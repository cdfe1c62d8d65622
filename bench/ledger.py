"""
``python -m bench.ledger postgresql://USER@HOST/EMPTY_DATABASE``: what several
nodes cost: commits to a PostgreSQL ledger and to the node's own replica, how
long another node is behind, how fast platforms are taken in, what they take.

The figures are for docs/scaling.md; nothing here has a gate.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import threading
import time

from collections.abc import Iterator
from pathlib import Path

import psycopg

from bench.pck_certificates import batches
from thim.services.clock import utc_now
from thim.services.ingest import ingest
from thim.services.register import Registrar
from thim.simulate.pki import Intel
from thim.store.follow import Follower
from thim.store.founding import make_ledger, make_replica
from thim.store.ledger import Ledger
from thim.store.session import NodeSession
from thim.x509.chain import to_pem


_COMMITS = 300
_MS = 1000


class Other:
    """
    Another node, which follows; *positions* is where it was, and when.
    """

    def __init__(self, replica: Path, address: str) -> None:
        make_replica(replica, address)
        self._follower = Follower(replica, address)
        self._address = address
        self._ended = threading.Event()
        self.positions: list[tuple[int, float]] = []

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """
        Follow meanwhile.
        """
        thread = threading.Thread(target=self._follow)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _follow(self) -> None:
        with NodeSession(self._address) as session:
            while not self._ended.is_set():
                position = self._follower.catch_up()
                self.positions.append((position, time.monotonic()))
                session.wait(0.2)

    def seen(self, position: int) -> float:
        """
        Return when it had all up to *position*.
        """
        while True:
            for reached, at in self.positions:
                if reached >= position:
                    return at
            time.sleep(0.01)


def main() -> None:
    """
    Measure, and print.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.ledger")
    parser.add_argument("address", help="of an empty database")
    parser.add_argument(
        "--platforms", type=int, default=20_000, help="default: 20000"
    )
    arguments = parser.parse_args()
    intel = Intel()
    make_ledger(arguments.address, intel.anchors)
    with tempfile.TemporaryDirectory(prefix="thim-bench-") as name:
        store = Path(name) / "thim.db"
        make_replica(store, arguments.address)
        other = Other(Path(name) / "other.db", arguments.address)
        with Ledger(store, intel.anchors) as ledger:
            _commit(ledger)
            with other.following():
                _compare(ledger, other, arguments.address)
            _register(ledger, intel, arguments.platforms)
        with _measuring("platforms copied anew", arguments.platforms):
            make_replica(Path(name) / "third.db", arguments.address)
        _print_sizes(store, arguments.address, arguments.platforms)


def _commit(ledger: Ledger) -> None:
    with _measuring("commits", _COMMITS):
        for n in range(_COMMITS):
            _write(ledger, n)


@contextlib.contextmanager
def _measuring(what: str, count: int) -> Iterator[None]:
    begin, cpu = time.monotonic(), time.process_time()
    yield
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    print(
        f"  {count / seconds:8.1f} {what}/s, {_MS * cpu / count:.2f} ms of "
        f"CPU for each in this process, without PostgreSQL's own"
    )


def _write(ledger: Ledger, n: int) -> None:
    ledger.events.add("bench", str(n), actor="bench", now=utc_now())


def _compare(ledger: Ledger, other: Other, address: str) -> None:
    """Print how long after a commit was acknowledged the other has it."""
    acknowledged = []
    with NodeSession(address) as session:
        for n in range(_COMMITS):
            _write(ledger, n)
            acknowledged.append((session.last_position(), time.monotonic()))
            time.sleep(0.01)
    behind = sorted(_MS * max(0, other.seen(p) - at) for p, at in acknowledged)
    print(
        f"  another node is behind for {statistics.median(behind):.1f} ms in "
        f"the middle, {behind[int(0.99 * len(behind))]:.1f} at 99 %, "
        f"{behind[-1]:.1f} at most"
    )


def _register(ledger: Ledger, intel: Intel, count: int) -> None:
    now = utc_now()
    files = [("ca.pem", to_pem(intel.certificates))]
    list(ingest(files, ledger=ledger, now=now))
    registrar = Registrar(ledger, now)
    made = list(batches(intel, count))
    with _measuring("platforms", count):
        for taken in (one for batch in made for one in registrar.take(batch)):
            if taken.reason:
                raise RuntimeError(taken)


def _print_sizes(store: Path, address: str, count: int) -> None:
    with psycopg.connect(address) as db:
        for table in ("changes", None):
            query = "SELECT pg_database_size(current_database())"
            if table is not None:
                query = f"SELECT pg_total_relation_size('{table}')"
            (size,) = db.execute(query).fetchone() or (0,)
            name = table or "the whole database"
            print(f"  {size / count:8.0f} bytes a platform: {name}")
    size = store.stat().st_size
    print(f"  {size / count:8.0f} bytes a platform: the replica")


if __name__ == "__main__":
    main()
