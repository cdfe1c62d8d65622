"""
Plays a schedule of faults in a world under load, and judges what came of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import signal
import subprocess
import sys
import threading
import time

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from tests.nodes.load import Orders
from tests.nodes.notes import Notes, unexplained
from tests.nodes.schedule import TAKEN_OVER, Fault, Kind, Round
from tests.nodes.world import BACK, FRONT, Node, World, await_so
from thim.collateral.records import INTEL
from thim.simulate.broken import Slow


#: Within so many seconds after all is mended everybody is of one mind.
HEALING: Final = 5.0
#: Within so many seconds after a leader's death another one leads, and after
#: it was cut off.
TAKEOVER: Final = 15.0
_DAY: Final = datetime.timedelta(days=1)
_SLOW: Final = 3.0
#: For so long a node starts, which is a part of its outage.
_START: Final = 5.0
_MOMENT: Final = 0.1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    What a round came to, in seconds; *takeover* only where the leader is lost.
    """

    kinds: Sequence[Kind]
    healing: float
    takeover: float | None


class Load:
    """
    The process that reads and writes.
    """

    def __init__(self, world: World, orders: Orders) -> None:
        self._notes = Path(orders.notes)
        path = self._notes.with_suffix(".orders")
        path.write_text(json.dumps(dataclasses.asdict(orders)))
        self._notes.touch()
        self._errors = self._notes.with_suffix(".errors")
        inside = world.network.inside("clients")
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*inside, sys.executable, "-m", "tests.nodes.load", str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def notes(self) -> Notes:
        """
        Return what it has written down so far.
        """
        assert self._process.poll() is None, self._errors.read_text()
        return Notes.read(self._notes)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """
        Have nothing written until the end of the ``with``.
        """
        self._say("pause")
        yield
        self._say("resume")

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def end(self) -> None:
        """
        End it.
        """
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def loading(world: World, orders: Orders) -> Iterator[Load]:
    """
    Run a load until the end of the ``with``.
    """
    load = Load(world, orders)
    try:
        yield load
    finally:
        load.end()


class Player:
    """
    Plays rounds in a *world* under a *load*.
    """

    def __init__(self, world: World, load: Load) -> None:
        self._world = world
        self._load = load
        self._takeover: float | None = None
        self._slack = 1.0

    def play(self, faults: Round, slack: float = 1.0) -> Measured:
        """
        Play a round, and see to it that all are of one mind in time; *slack*
        is how much longer it may take.
        """
        self._takeover, self._slack = None, slack
        kept = len(self._load.notes().acknowledged())
        await_so(
            lambda: len(self._load.notes().acknowledged()) > kept, "a write"
        )
        threads = [_Thread(self._play, each) for each in faults]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.end()
        mended = time.monotonic()
        with self._load.silent():
            # The time that the writer needs to come to rest is reported, and
            # not bounded: it may still wait for an answer of who was away.
            self.await_one_mind(HEALING * slack)
            healing = time.monotonic() - mended
            self._await_leaders()
        return Measured(
            kinds=[each.kind for each in faults],
            healing=healing,
            takeover=self._takeover,
        )

    def await_one_mind(self, seconds: float) -> None:
        """
        Wait until all replicas are what the ledger is.
        """
        start = time.monotonic()
        while differing := self._world.differing():
            took = time.monotonic() - start
            assert took < seconds, f"after {took:.1f} s: {differing}"
            time.sleep(0.05)

    def _await_leaders(self) -> None:
        def is_so() -> bool:
            leaders = self._world.leaders()
            told = {
                vendor: {
                    node.name
                    for node in self._world.nodes
                    if (state := node.state()) and vendor in state.leads
                }
                for vendor in leaders
            }
            return leaders == told and all(
                len(names) == 1 for names in leaders.values()
            )

        await_so(is_so, "one leader for each vendor", TAKEOVER)

    def _play(self, fault: Fault) -> None:
        time.sleep(fault.start)
        if fault.kind in TAKEN_OVER:
            self._lose_leader(fault)
            return
        until = time.monotonic() + fault.end - fault.start
        if fault.kind is Kind.KILL:
            until -= _START
        with self._going_wrong(fault):
            time.sleep(max(0, until - time.monotonic()))

    def _going_wrong(self, fault: Fault) -> AbstractContextManager[None]:
        if fault.kind in {Kind.STOP, Kind.CRASH}:
            return self._without_ledger(at_once=fault.kind is Kind.CRASH)
        assert fault.node is not None
        node = self._world.nodes[fault.node]
        wrong: dict[Kind, Callable[[Node], AbstractContextManager[None]]] = {
            Kind.KILL: self._killed,
            Kind.PAUSE: self._paused,
            Kind.CUT_LEDGER: self._cut_from_ledger,
            Kind.CUT_ALL: self._cut_from_all,
        }
        return wrong[fault.kind](node)

    @contextlib.contextmanager
    def _without_ledger(self, *, at_once: bool) -> Iterator[None]:
        self._world.server.stop(at_once=at_once)
        yield
        self._world.start_ledger()

    @contextlib.contextmanager
    def _killed(self, node: Node) -> Iterator[None]:
        with self._world.unreachable(node):
            node.kill()
            yield
            node.start()
            self._world.await_ready(node)

    @contextlib.contextmanager
    def _paused(self, node: Node) -> Iterator[None]:
        with self._world.unreachable(node):
            node.signal(signal.SIGSTOP)
            yield
            node.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def _cut_from_ledger(self, node: Node) -> Iterator[None]:
        self._world.network.cut(node.name, BACK)
        yield
        self._world.network.mend(node.name, BACK)

    @contextlib.contextmanager
    def _cut_from_all(self, node: Node) -> Iterator[None]:
        with self._world.unreachable(node):
            self._world.network.cut(node.name, FRONT)
            with self._cut_from_ledger(node):
                yield
            self._world.network.mend(node.name, FRONT)

    def _lose_leader(self, fault: Fault) -> None:
        leader = self._begin_refresh()
        until = time.monotonic() + fault.end - fault.start
        if fault.kind is Kind.FAIL_OVER:
            until -= _START
            losing = self._killed(leader)
        else:
            losing = self._cut_from_ledger(leader)
        with losing:
            self._takeover = await_so(
                lambda: self._world.leader(INTEL) not in {None, leader},
                "another node leads",
                TAKEOVER * self._slack,
            )
            if leader.process is not None:
                self._await_insight(leader)
            self._world.vendors.faults.clear()
            time.sleep(max(0, until - time.monotonic()))
        # What the lost one was about to fetch is leased to it for a while.
        await_so(self._is_refreshed, "the refresh has been ended")

    def _await_insight(self, lost: Node) -> None:
        """Wait until a node that does not lead any more knows: it should."""

        def is_so() -> bool:
            state = lost.state()
            return state is None or state.is_away or not state.leads

        so = f"{lost.name} knows that it does not lead"
        await_so(is_so, so, TAKEOVER * (self._slack - 1) + _MOMENT)

    def _begin_refresh(self) -> Node:
        """
        Have a day pass, so that there is much to fetch of slow vendors; return
        who does when it has begun.
        """
        world = self._world
        self._await_leaders()
        world.vendors.faults.add(Slow(seconds=_SLOW))
        asked = world.vendors.requests.total
        world.vendors.clock.advance(_DAY)
        await_so(lambda: world.vendors.requests.total >= asked + 2, "a refresh")
        leader = world.leader(INTEL)
        assert leader is not None
        return leader

    def _is_refreshed(self) -> bool:
        today = self._world.vendors.clock().date()
        ((oldest,),) = self._world.query(_OLDEST_CRL)
        return bool(oldest == today)


_OLDEST_CRL: Final = """
    SELECT to_timestamp(min(r.issued) / 1e6)::date
      FROM heads h JOIN records r ON r.id = h.record_id
      JOIN series s ON s.id = h.series_id
     WHERE s.kind = 'pck-crl'
"""


class _Thread(threading.Thread):
    """Does something, and says in the end what went wrong."""

    def __init__(self, work: Callable[[Fault], None], fault: Fault) -> None:
        # Nobody waits for what is left of an outage when another went wrong.
        super().__init__(name=fault.kind.value, daemon=True)
        self._work = work
        self._fault = fault
        self._error: BaseException | None = None

    def run(self) -> None:
        """
        Do it.
        """
        try:
            self._work(self._fault)
        except BaseException as e:  # noqa: BLE001 - raised by `end`
            self._error = e

    def end(self) -> None:
        """
        Wait for the end, and raise what went wrong.
        """
        self.join()
        if self._error is not None:
            raise self._error


def judge(world: World, notes: Notes) -> list[str]:
    """
    List what must not have been.
    """
    return [
        *map(str, unexplained(notes.failures(), world.gone)),
        *(f"a write: {each}" for each in notes.troubles()),
        *_find_lost(world, notes),
        *_find_strange(world, notes),
        *_find_tracebacks(world),
    ]


_KEPT: Final = {
    "platform": "SELECT lower(hex(qe_id)) FROM platforms",
    "tenant": "SELECT substr(name, 2) FROM definitions WHERE kind = 'tenant'",
}


def _find_lost(world: World, notes: Notes) -> Iterator[str]:
    for kind, query in _KEPT.items():
        promised = {a.name for a in notes.acknowledged() if a.kind == kind}
        in_ledger = query.replace("hex(qe_id)", "encode(qe_id, 'hex')")
        places = {"the ledger": world.query(in_ledger)}
        places |= {node.name: node.rows(query) for node in world.nodes}
        for place, rows in places.items():
            for name in promised - {name for (name,) in rows}:
                yield f"{kind} {name} is lost in {place}"


def _find_strange(world: World, notes: Notes) -> Iterator[str]:
    query = "SELECT encode(sha256, 'hex') FROM records"
    known = {digest for (digest,) in world.query(query)}
    for digest in notes.digests() - known:
        yield f"nobody knows the body {digest}"


def _find_tracebacks(world: World) -> Iterator[str]:
    for node in world.nodes:
        text = node.log.read_text()
        if "Traceback" in text:
            _, _, behind = text.partition("Traceback")
            yield f"{node.name}: Traceback{behind[:3000]}"
