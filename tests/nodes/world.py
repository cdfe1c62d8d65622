"""
Three nodes, their ledger and their vendors, each in a network namespace of its
own, and clients in another.

Clients reach the nodes by the bridge ``front``; these reach PostgreSQL and the
vendors by ``back``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.nodes.network import Network, new_network
from tests.nodes.notes import Gone
from tests.postgresql import Server, new_folder
from thim.collateral.records import AMD, INTEL
from thim.services.tokens import Role, make_token
from thim.simulate.clock import Clock
from thim.simulate.server import Simulated, simulating
from thim.store.follow import HEADS, digest_heads
from thim.store.founding import make_ledger, make_replica
from thim.store.ledger import Ledger
from thim.store.node_state import NodeState, StateReader
from thim.store.postgresql import WRITER, engine_at


FRONT: Final = "front"
BACK: Final = "back"
PORT: Final = 8080
_LEDGER: Final = "10.82.0.2"
_VENDORS: Final = "10.82.0.3"
_VENDORS_PORT: Final = 8181
_CLIENTS: Final = "10.81.0.2"
#: For how long anything may take on a busy machine.
PATIENCE: Final = 120.0
#: Which advisory locks are held, and by whose connections.
_LEADERS: Final = f"""
    SELECT a.client_addr::text, l.objid::bigint - {WRITER & 0xFFFFFFFF}
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.granted
       AND l.classid::bigint = {WRITER >> 32}
       AND l.objid::bigint > {WRITER & 0xFFFFFFFF}
"""  # noqa: S608 - constants only
_NUMBERS: Final = {1: INTEL, 2: AMD}


class Node:
    """
    A node: `thim serve` on a host of that *name*.
    """

    def __init__(self, network: Network, number: int, folder: Path) -> None:
        self.name = f"n{number}"
        self.address = f"10.81.0.{10 + number}"
        self.back_address = f"10.82.0.{10 + number}"
        self.store = folder / f"{self.name}.db"
        self.config = folder / f"{self.name}.toml"
        self.log = folder / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._network = network
        network.add_host(self.name)
        network.connect(self.name, FRONT, self.address)
        network.connect(self.name, BACK, self.back_address)
        self._state = StateReader(self.store)

    def start(self) -> None:
        """
        Start it.
        """
        inside = self._network.inside(self.name)
        command = [*inside, sys.executable, "-m", "thim", "serve"]
        environment = {**os.environ, "COVERAGE_PROCESS_START": ""}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(self.config)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """
        Send a signal to all its processes.
        """
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """
        Kill all its processes.
        """
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(PATIENCE)
        self.process = None

    def state(self) -> NodeState | None:
        """
        Return how it stands, as it says.
        """
        return self._state.read()

    def heads(self) -> tuple[int, bytes]:
        """
        Return its replica's position and the digest of its heads.
        """
        with contextlib.closing(_open(self.store)) as db:
            db.execute("BEGIN")
            query = "SELECT position FROM replication"
            (position,) = db.execute(query).fetchone()
            return position, digest_heads(db.execute(HEADS))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """
        Ask its replica.
        """
        with contextlib.closing(_open(self.store)) as db:
            return db.execute(query).fetchall()

    def pids(self) -> list[int]:
        """
        Return its processes, the first one first.
        """
        if self.process is None:
            return []
        found = map(_read_session, Path("/proc").glob("[0-9]*/stat"))
        session = self.process.pid
        return sorted(pid for pid, its in found if its == session)


def _read_session(path: Path) -> tuple[int, int]:
    try:
        # Behind the name, which may hold anything.
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0, 0
    return int(path.parent.name), int(fields[3])


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    All of it.  *gone* is when nobody was to reach which node.
    """

    folder: Path
    network: Network
    server: Server
    database: str
    vendors: Simulated
    nodes: Sequence[Node]
    clients: ThreadPoolExecutor
    gone: list[Gone]

    def start_ledger(self) -> None:
        """
        Start PostgreSQL, and wait until it answers.
        """
        self.server.start(
            prefix=self.network.inside("ledger"),
            fsync="off",
            full_page_writes="off",
        )

    def ask(self, node: Node, path: str, **headers: str) -> tuple[int, bytes]:
        """
        Have a client ask a node.
        """
        return self.clients.submit(_ask, node.address, path, headers).result()

    def await_ready(self, *nodes: Node) -> None:
        """
        Wait until all *nodes* answer their clients.
        """
        for node in nodes:
            ready = functools.partial(self._is_ready, node)
            await_so(ready, f"{node.name} ready")

    def _is_ready(self, node: Node) -> bool:
        process = node.process
        assert process is None or process.poll() is None, node.log.read_text()
        try:
            return self.ask(node, "/health/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    @contextlib.contextmanager
    def unreachable(self, node: Node) -> Iterator[None]:
        """
        Write down that nobody is to reach *node* until the end of the
        ``with``, by which it is.
        """
        start, place = time.monotonic(), len(self.gone)
        self.gone.append(Gone(node=node.name, start=start))
        yield
        whole = Gone(node=node.name, start=start, end=time.monotonic())
        self.gone[place] = whole

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """
        Ask PostgreSQL, from its own host.
        """
        address = self.server.socket_address(self.database)
        with psycopg.connect(address, autocommit=True) as db:
            return db.execute(text.encode()).fetchall()

    def leaders(self) -> dict[str, set[str]]:
        """
        Return which nodes hold the locks of each vendor.
        """
        names = {node.back_address: node.name for node in self.nodes}
        found: dict[str, set[str]] = {INTEL: set(), AMD: set()}
        for address, number in self.query(_LEADERS):
            found[_NUMBERS[number]].add(names[address.partition("/")[0]])
        return found

    def leader(self, vendor: str) -> Node | None:
        """
        Return the node that leads a *vendor*, if there is one.
        """
        names = self.leaders()[vendor]
        return next((n for n in self.nodes if n.name in names), None)

    def ledger_heads(self) -> tuple[int, bytes]:
        """
        Return the ledger's position and the digest of its heads.
        """
        address = self.server.socket_address(self.database)
        with psycopg.connect(address) as db:
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            row = db.execute("SELECT max(position) FROM changes").fetchone()
            return row[0] if row else 0, digest_heads(db.execute(HEADS))

    def differing(self) -> list[str]:
        """
        Say of each node what keeps it from being of one mind with the ledger.
        """
        expected = self.ledger_heads()
        return [
            f"{node.name}: {why}"
            for node in self.nodes
            for why in _differences(node, expected)
        ]


def _differences(node: Node, expected: tuple[int, bytes]) -> Iterator[str]:
    found, state = node.heads(), node.state()
    if found != expected:
        yield f"its replica is {found}, expected {expected}"
    if state is None:
        yield "it says nothing"
    elif state.is_away or state.trouble:
        yield f"it cannot follow: {state.trouble}"
    elif (state.position, state.ledger_position) != (expected[0],) * 2:
        yield f"it says it is at {state.position}"


def await_so(
    is_so: Callable[[], object], what: str, seconds: float = PATIENCE
) -> float:
    """
    Wait until something is so; return for how many seconds.
    """
    start = time.monotonic()
    while not is_so():
        took = time.monotonic() - start
        assert took < seconds, f"not so after {took:.1f} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - start


def _ask(
    address: str, path: str, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, PORT, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


@contextlib.contextmanager
def open_world(folder: Path, workers: int = 2) -> Iterator[World]:
    """
    Make the world in *folder*, let it run until the end of the ``with``, and
    leave nothing of it but the folder.
    """
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(new_network())
        world = _build(stack, network, folder)
        for node in world.nodes:
            _configure(world, node, workers)
            stack.callback(node.kill)
            node.start()
        world.await_ready(*world.nodes)
        yield world


def _build(
    stack: contextlib.ExitStack, network: Network, folder: Path
) -> World:
    network.add_bridge(FRONT)
    network.add_bridge(BACK)
    for host, bridge, address in (
        ("ledger", BACK, _LEDGER),
        ("vendors", BACK, _VENDORS),
        ("clients", FRONT, _CLIENTS),
    ):
        network.add_host(host)
        network.connect(host, bridge, address)
    nodes = [Node(network, n, folder) for n in (1, 2, 3)]
    vendors = _start_vendors(stack, network)
    (folder / "root.pem").write_bytes(vendors.roots)
    vendors.clock.mirror(folder / "clock")
    server = Server(new_folder(), _LEDGER, 5432)
    stack.callback(shutil.rmtree, server.folder, ignore_errors=True)
    stack.callback(server.stop, at_once=True)
    world = World(
        folder=folder,
        network=network,
        server=server,
        database="thim",
        vendors=vendors,
        nodes=nodes,
        clients=stack.enter_context(network.staff("clients")),
        gone=[],
    )
    world.start_ledger()
    _found(world)
    return world


def _found(world: World) -> None:
    socket_address = world.server.socket_address("postgres")
    with psycopg.connect(socket_address, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {world.database}".encode())
    address = world.server.socket_address(world.database)
    make_ledger(address, world.vendors.anchors)
    make_replica(world.folder / "control.db", address)
    engine_at(address).dispose()


def add_token(world: World, role: Role) -> str:
    """
    Add a token and return its text.
    """
    text, kept = make_token(
        role.value, role, actor="world", now=world.vendors.clock()
    )
    with Ledger(world.folder / "control.db", world.vendors.anchors) as ledger:
        ledger.tokens.add(kept)
    engine_at(world.server.socket_address(world.database)).dispose()
    return text


def _configure(world: World, node: Node, workers: int) -> None:
    url = f"http://{_VENDORS}:{_VENDORS_PORT}"
    node.config.write_text(
        f'store = "{node.store}"\n'
        f'ledger = "postgresql://thim@{_LEDGER}:5432/{world.database}"\n'
        f'node_name = "{node.name}"\n'
        f'listen = "{node.address}:{PORT}"\n'
        f'admin_listen = "same"\n'
        f"workers = {workers}\n"
        f'key_file = "{world.folder}/thim.key"\n'
        f'dangerous_test_anchors = "{world.folder}/root.pem"\n'
        f'dangerous_clock = "{world.folder}/clock"\n'
        f"dangerous_plain_http_tokens = true\n"
        f"fill_rate = 100000\n"
        f'[[intel_upstreams]]\nurl = "{url}"\nkind = "pcs"\n'
        f'static_url = "{url}"\ninterval = "0s"\n'
        f'[[amd_upstreams]]\nurl = "{url}"\nkind = "kds"\ninterval = "0s"\n'
    )


def _start_vendors(stack: contextlib.ExitStack, network: Network) -> Simulated:
    staff = stack.enter_context(network.staff("vendors"))
    playing = simulating(None, Clock())
    vendors = staff.submit(stack.enter_context, playing).result()
    vendors.amd.limiter.is_on = False
    relaying = _relaying(vendors)
    staff.submit(stack.enter_context, relaying).result()
    return vendors


@contextlib.contextmanager
def _relaying(vendors: Simulated) -> Iterator[None]:
    """Bring what comes for the vendors to where they listen."""
    host, _, port = vendors.url.removeprefix("http://").partition(":")
    # A simulation listens on loopback only.
    relay = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.nodes.relay",
            f"{_VENDORS}:{_VENDORS_PORT}",
            f"{host}:{port}",
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert relay.stdout is not None
        assert relay.stdout.readline() == b"relays\n"
        yield
    finally:
        relay.kill()
        relay.communicate()
