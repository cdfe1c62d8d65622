"""
The load: clients of all nodes that read what is known and write what is not.

A process of its own, ``python -m tests.nodes.load FILE``; the file is JSON as
`Orders` has it.  It ends with its standard input; a line ``pause`` there ends
the writing for a while, ``resume`` goes on with it.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import http.client
import json
import random
import sys
import threading
import time

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509


#: A node that takes longer does not answer.
_PATIENCE: Final = 10.0
_OK: Final = 200
_CREATED: Final = 201
_AWAY: Final = 503


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """
    What to do: whom to ask, for what, how often.

    *nodes* are their addresses by name, *paths* what is asked for, *bodies*
    the digests of what never changes; *clients* ask each node for *rate*
    documents a second together, and *writes* is how much is written in a
    second.  A body may be older than one that came from the same node no more
    than *behind* seconds before: another worker may be so much behind.
    """

    nodes: Mapping[str, str]
    port: int
    paths: Sequence[str]
    bodies: Mapping[str, str]
    clients: int
    rate: float
    writes: float
    behind: float
    registrar: str
    admin: str
    notes: str
    seed: int


class Book:
    """
    What is written down; safe for several threads.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("a", buffering=1)
        self._second = 0
        self._taken: dict[str, list[float]] = {}

    def note(self, what: str, **values: object) -> None:
        """
        Write something down at once.
        """
        line = json.dumps({"what": what, **values}) + "\n"
        with self._lock:
            self._file.write(line)

    def count(self, node: str, end: float, took: float) -> None:
        """
        Count an answer; what a second brought is written when it is over.
        """
        with self._lock:
            if int(end) > self._second:
                done, self._taken = self._taken, {}
                second, self._second = self._second, int(end)
                for name, times in done.items():
                    self._file.write(_describe(second, name, times))
            self._taken.setdefault(node, []).append(took)


def _describe(second: int, node: str, times: list[float]) -> str:
    line = {
        "what": "second",
        "second": second,
        "node": node,
        "times": [round(each, 5) for each in times],
    }
    return json.dumps(line) + "\n"


class Seen:
    """
    What the clients of one node have seen of each document.
    """

    def __init__(self, orders: Orders, book: Book) -> None:
        self._orders = orders
        self._book = book
        self._issued: dict[str, float] = {}
        self._newest: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def check(self, path: str, body: bytes, start: float) -> str | None:
        """
        Return what is wrong with a body that was asked for at *start*.
        """
        digest = hashlib.sha256(body).hexdigest()
        fixed = self._orders.bodies.get(path)
        if fixed is not None:
            return None if digest == fixed else f"another body, {digest}"
        with self._lock:
            if digest not in self._issued:
                self._issued[digest] = find_issued(body)
                self._book.note("body", digest=digest)
            issued = self._issued[digest]
            newest, since = self._newest.get(path, (0.0, 0.0))
            if issued > newest:
                self._newest[path] = (issued, time.monotonic())
            elif issued < newest and start > since + self._orders.behind:
                return f"issued {newest - issued:.0f} s before an earlier one"
        return None


def find_issued(body: bytes) -> float:
    """
    Find out when a document was issued: signed JSON, or a CRL.
    """
    if body.startswith(b"{"):
        (signed,) = (v for v in json.loads(body).values() if "issueDate" in v)
        text = signed["issueDate"]
        return datetime.datetime.fromisoformat(text).timestamp()
    return x509.load_der_x509_crl(body).last_update_utc.timestamp()


class Client:
    """
    A client of one node, with a connection that it keeps.
    """

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(
            host, port, timeout=_PATIENCE
        )

    def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, bytes]:
        """
        Ask once.
        """
        raw = None if body is None else json.dumps(body).encode()
        sent = {k.replace("_", "-"): v for k, v in headers.items()}
        if raw is not None:
            sent["content-type"] = "application/json"
        try:
            self._connection.request(method, path, body=raw, headers=sent)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


class Reader(threading.Thread):
    """
    Asks one node for what is known, again and again.
    """

    def __init__(
        self, node: str, orders: Orders, book: Book, seen: Seen, seed: str
    ) -> None:
        super().__init__(daemon=True)
        self._node = node
        self._orders = orders
        self._book = book
        self._seen = seen
        self._random = random.Random(seed)
        self._client = Client(orders.nodes[node], orders.port)

    def run(self) -> None:
        """
        Ask until the process ends.
        """
        pause = self._orders.clients / self._orders.rate
        while True:
            time.sleep(self._random.uniform(0, 2 * pause))
            self._ask(self._random.choice(self._orders.paths))

    def _ask(self, path: str) -> None:
        start = time.monotonic()
        try:
            status, body = self._client.ask("GET", path)
            why = None if status == _OK else f"{status} {body[:200]!r}"
            why = why or self._seen.check(path, body, start)
        except Exception as e:  # noqa: BLE001 - all of it counts
            why = repr(e)
        end = time.monotonic()
        if why is None:
            self._book.count(self._node, end, end - start)
            return
        self._book.note(
            "failure",
            node=self._node,
            path=path,
            start=start,
            end=end,
            why=why,
        )
        time.sleep(0.1)


class Writer(threading.Thread):
    """
    Writes through any node, and notes what was acknowledged.
    """

    def __init__(self, orders: Orders, book: Book, seed: str) -> None:
        super().__init__(daemon=True)
        self._orders = orders
        self._book = book
        self._random = random.Random(seed)
        self.may_write = threading.Event()
        self.may_write.set()
        self.is_writing = threading.Lock()

    def run(self) -> None:
        """
        Write until the process ends.
        """
        while True:
            time.sleep(self._random.uniform(0, 2 / self._orders.writes))
            with self.is_writing:
                if self.may_write.is_set():
                    self._write()

    def _write(self) -> None:
        node = self._random.choice(sorted(self._orders.nodes))
        name = self._random.randbytes(16).hex()
        is_platform = self._random.random() < 1 / 2
        write = self._register if is_platform else self._make_tenant
        kind = "platform" if is_platform else "tenant"
        client = Client(self._orders.nodes[node], self._orders.port)
        start = time.monotonic()
        try:
            status, body = write(client, name)
        except Exception as e:  # noqa: BLE001 - may be kept, or not
            self._book.note("refused", node=node, start=start, why=repr(e))
            return
        at = time.monotonic()
        if status in {_OK, _CREATED}:
            self._book.note("kept", kind=kind, name=name, node=node, at=at)
            return
        self._book.note(
            "refused" if status == _AWAY else "trouble",
            node=node,
            start=start,
            why=f"{status} {body[:300]!r}",
        )

    def _register(self, client: Client, name: str) -> tuple[int, bytes]:
        body = {
            "qe_id": name,
            "pce_id": "0000",
            "cpu_svn": "00" * 16,
            "pce_svn": "0000",
            "enc_ppid": "ab" * 384,
        }
        path = "/sgx/certification/v4/platforms"
        return client.ask("POST", path, body, user_token=self._orders.registrar)

    def _make_tenant(self, client: Client, name: str) -> tuple[int, bytes]:
        bearer = f"Bearer {self._orders.admin}"
        path = f"/admin/v1/tenants/t{name}"
        body = {"reason": "load"}
        status, said = client.ask("PUT", path, body, authorization=bearer)
        if status == _CREATED:
            again, _ = client.ask("GET", path, authorization=bearer)
            if again != _OK:
                self._book.note("unread", name=name, status=again)
        return status, said


def main() -> None:
    """
    Do as the file says until standard input ends.
    """
    orders = Orders(**json.loads(Path(sys.argv[1]).read_text()))
    book = Book(Path(orders.notes))
    for node in orders.nodes:
        seen = Seen(orders, book)
        for n in range(orders.clients):
            seed = f"{orders.seed} {node} {n}"
            Reader(node, orders, book, seen, seed).start()
    writer = Writer(orders, book, f"{orders.seed}")
    if orders.writes:
        writer.start()
    for line in sys.stdin:
        _obey(writer, line.strip())


def _obey(writer: Writer, word: str) -> None:
    if word == "pause":
        writer.may_write.clear()
        with writer.is_writing:
            pass
    else:
        writer.may_write.set()
    sys.stdout.write("done\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
