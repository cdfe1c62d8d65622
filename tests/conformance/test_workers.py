"""
`thim serve` as a program: its memory, and two workers with a memo each.
"""

import contextlib
import datetime
import http.client
import random
import subprocess
import sys
import threading
import time

from pathlib import Path

import pytest

from tests.conformance.program import running
from tests.new_store import new_store
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.ingest import ingest
from thim.store.ledger import Ledger


V4 = "/sgx/certification/v4"
PATHS = [
    f"{prefix}{path}"
    for prefix in ("", "/baseline/17", "/baseline/18")
    for path in (
        f"{V4}/tcb?fmspc=00606A000000",
        f"{V4}/tcb?fmspc=00906ED50000&update=standard",
        f"{V4}/qe/identity?update=standard",
        f"{V4}/pckcrl?ca=platform&encoding=der",
        f"{V4}/fmspcs",
        f"{V4}/tcbevaluationdatanumbers",
        "/tdx/certification/v4/tcb?fmspc=00806F050000",
    )
]
OWN = {"date", "age", "request-id"}


def take_in(store, files):
    """
    Take *files* into the store, as another process would, and stop after
    each commit.
    """
    with Ledger(store, VENDOR_ROOTS) as ledger:
        yield from ingest(
            [(str(f), f.read_bytes()) for f in files],
            ledger=ledger,
            now=datetime.datetime.now(datetime.UTC),
        )


def ask(connection, path, **headers):
    """
    Ask on an open connection; what belongs to one sending is left out.
    """
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in OWN]
    return answer.status, sorted(kept), body


def ask_all(served):
    """
    Ask for every path once.
    """
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    with contextlib.closing(connection):
        return {path: ask(connection, path) for path in PATHS}


class Client(threading.Thread):
    """
    Asks at random on one connection, so of one worker, until it has all the
    answers *last*, which it is told in the end.
    """

    def __init__(self, served, seed):
        super().__init__()
        self.served = served
        self.random = random.Random(seed)
        self.answers = []
        self.last = None
        self.has_all = False

    def run(self):
        """
        Ask, past the memo now and then: a request with an ID of its own.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.served.port)
        deadline = time.monotonic() + 20
        with contextlib.closing(connection):
            while time.monotonic() < deadline and not self.has_all:
                path = self.random.choice(PATHS)
                past = {"Request-ID": "x"} if self.random.random() < 0.2 else {}
                self.answers.append((path, ask(connection, path, **past)))
                last = self.last
                self.has_all = last is not None and last == {
                    p: ask(connection, p) for p in PATHS
                }


def check(answers, states):
    """
    The answers of one worker are those of *states*, in their order.
    """
    reached = dict.fromkeys(PATHS, 0)
    for path, answer in answers:
        known = [state[path] for state in states]
        assert answer in known[reached[path] :], path
        reached[path] = known.index(answer, reached[path])


def test_two_workers_say_what_one_says(corpus, tmp_path):
    """
    While documents come in one by one, each of two workers with a memo gives
    only answers that a service without a memo gives at some moment, in the
    same order, and soon gives the last ones.
    """
    store = tmp_path / "thim.db"
    new_store(store, VENDOR_ROOTS)
    files = sorted(Path(corpus, "intel").rglob("v[23]*.json"))
    files += sorted(Path(corpus, "intel", "crl").glob("*.der"))
    files += sorted(Path(corpus, "intel").glob("tcb-eval*/*.json"))
    files = random.Random(7).sample(files, 120)
    certificates = Path(corpus, "intel", "ca").glob("*.pem")
    assert [] != list(take_in(store, certificates))
    with (
        running(store, "--workers", "1", THIM_MEMO_BYTES="0") as (plain, _),
        running(store, "--workers", "2") as (fast, _),
    ):
        for start in range(0, len(files), 60):
            states = [ask_all(plain)]
            clients = [Client(fast, start + i) for i in range(4)]
            for client in clients:
                client.start()
            commits = take_in(store, files[start : start + 60])
            states += [ask_all(plain) for _ in commits]
            for client in clients:
                client.last = states[-1]
            for client in clients:
                client.join()
                assert client.has_all
                check(client.answers, states)


def test_memory(corpus_store):
    """
    An idle worker has less than 120 MB resident.
    """
    with running(corpus_store, COVERAGE_PROCESS_START="") as (_, process):
        status = Path(f"/proc/{process.pid}/status").read_text()

    (resident,) = (
        int(line.split()[1])
        for line in status.splitlines()
        if line.startswith("VmRSS:")
    )
    assert 120_000 > resident


@pytest.mark.parametrize("module", ["alembic", "numpy", "rich", "sqlalchemy"])
def test_lean(module):
    """
    Serving loads no migrations, no arrays, no terminal and no ORM.
    """
    code = (
        "import sys, thim.http.app, thim.cli.commands as commands; "
        "list(commands.make_command().commands.values()); "
        f"print({module!r} in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert "False\n" == said.stdout
