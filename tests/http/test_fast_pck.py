"""
The fast path's branch for PCK certificates, beside the application.
"""

import asyncio
import concurrent.futures
import contextlib
import datetime
import itertools
import json
import random
import socket
import time
import types

import pytest
import uvicorn

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from tests.http.machines import (
    AT,
    AZURE,
    HIGH,
    LOW,
    V4,
    ask_for,
    exchange,
    make_pck_store,
    read_answer,
    request,
)
from tests.new_store import new_store
from tests.platforms import NOW, entry, platform_id, tcbm
from tests.serving import serving
from thim.http.fast import FastHttpProtocol
from thim.http.fast_pck import PckDesk
from thim.http.limits import Limits
from thim.http.memo import Memo
from thim.http.outbox import Outbox
from thim.http.reply import Reply
from thim.services.sightings import Sightings
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger
from thim.store.pck import PckReader
from thim.store.replica import Replica


@pytest.fixture(scope="module")
def intel():
    """
    An Intel that issues certificates.
    """
    return Intel()


@pytest.fixture(scope="module")
def store(intel, tmp_path_factory):
    """
    A store with some platforms.
    """
    return make_pck_store(tmp_path_factory.mktemp("pck") / "thim.db", intel)


@pytest.fixture(scope="module")
def both(store, intel):
    """
    Two services over one store: with the fast path and, where a client
    certificate could matter and so nothing is answered fast, without.
    """
    with (
        serving(store, lambda: NOW, anchors=intel.anchors) as fast,
        serving(
            store, lambda: NOW, anchors=intel.anchors, is_fast=False
        ) as plain,
    ):
        yield fast, plain


WHO = st.sampled_from(["one", "two", "unseen", "bare", "revoked", "nobody"])
DIGITS = st.sampled_from(["0" * 768, "ab" * 384, "AB" * 384, "xy" * 384, ""])


@st.composite
def queries(draw):
    """
    Queries as clients send them, and almost so.
    """
    odd = [tcbm(0), tcbm(5, 5), tcbm(4, 4, pcesvn=0x0B00)]
    at = draw(st.sampled_from([AT, LOW, HIGH, *odd]))
    query = ask_for(draw(WHO), at, draw(st.sampled_from(["0000", "0100"])))
    pairs = query.split("&")
    if draw(st.booleans()):
        pairs.append(f"encrypted_ppid={draw(DIGITS)}")
    pairs = draw(st.permutations(pairs))
    if draw(st.booleans()):
        pairs += AZURE.split("&")
    if draw(st.integers(0, 4)) == 0:
        more = st.sampled_from(["qeid=00", "x", "", "pceid", "a=%41"])
        pairs.append(draw(more))
    text = "&".join(pairs)
    if draw(st.integers(0, 4)) == 0:
        old = draw(st.sampled_from(["0", "4", "&", "="]))
        new = draw(st.sampled_from([" ", "%30", "g", "+", "&&", "é"]))
        text = text.replace(old, new, 1)
    return text.upper() if draw(st.integers(0, 9)) == 0 else text


class TestFast:
    @settings(
        deadline=None,
        max_examples=300,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(query=queries(), more=st.sampled_from([(), ("Accept: */*",)]))
    def test_same(self, both, query, more):
        """
        Whatever comes, the fast path answers what the application answers,
        the first time and when it knows the form.
        """
        fast, plain = both
        raw = request(query, *more)

        expected = exchange(plain.port, raw)

        assert expected == exchange(fast.port, raw)
        assert expected == exchange(fast.port, raw, count=2)

    def test_used(self, store, intel):
        """
        It is the fast path that answers a form that is known, for another
        platform too.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, memo_bytes=0
        ) as running:
            desk = running.state["pck"]
            exchange(running.port, request(ask_for("two", pce_id="0100")))
            assert 0 == desk.hits
            exchange(running.port, request(ask_for("one")))
            assert 1 == desk.hits
            exchange(running.port, request(ask_for("unseen")))
            seen = len(running.state["service"].sightings.seen)

        assert 1 == desk.hits
        assert 3 == seen

    def test_from_the_start(self, store, intel):
        """
        A form that came before the process first looked whether the store has
        changed is known after that.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, memo_bytes=0
        ) as running:
            exchange(running.port, request(ask_for("two", pce_id="0100")))
            time.sleep(0.3)  # several looks
            exchange(running.port, request(ask_for("one")))

        assert 1 == running.state["pck"].hits

    @pytest.mark.parametrize(
        "header",
        [
            "Authorization: Bearer x",
            "If-None-Match: *",
            "X-Forwarded-For: 1.2.3.4",
            "Metadata: true",
            "Connection: close",
        ],
    )
    def test_fall_through(self, store, intel, header):
        """
        A request that is not plain goes to the application.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, memo_bytes=0
        ) as running:
            desk = running.state["pck"]
            for _ in range(2):
                exchange(running.port, request(ask_for(), header))

        assert 0 == desk.hits

    def test_renewed(self, intel, tmp_path):
        """
        What is written while it serves is seen soon; nobody who was told of
        it gets what was before.
        """
        path = tmp_path / "thim.db"
        new_store(path, intel.anchors)
        with Ledger(path, intel.anchors) as ledger:
            ledger.platforms.enter([entry(intel, "one", LOW, raw=(AT,))], NOW)
            with serving(path, lambda: NOW, anchors=intel.anchors) as running:
                raw = request(ask_for())
                _, before = exchange(running.port, raw, count=3)
                ledger.platforms.enter(
                    [entry(intel, "one", AT, raw=(AT,))], NOW
                )
                told = running.get(f"{V4}?{ask_for()}", {"Request-ID": "x"})
                _, after = exchange(running.port, raw)

        assert before != after
        assert told.body == after

    def test_soon_expired(self, store, intel):
        """
        A certificate that ends within the policy's time is the application's:
        its age changes from second to second.
        """
        first = entry(intel, "one", AT).certificates[0].certificate
        late = first.not_after - datetime.timedelta(seconds=100)
        with serving(store, lambda: late, anchors=intel.anchors) as running:
            desk = running.state["pck"]
            for _ in range(2):
                head, _ = exchange(running.port, request(ask_for()))

        assert b"max-age=100\r\n" in head
        assert 0 == desk.hits

    def test_expired(self, store, intel):
        """
        An expired one says so.
        """
        first = entry(intel, "one", AT).certificates[0].certificate
        late = first.not_after + datetime.timedelta(seconds=1)
        with serving(store, lambda: late, anchors=intel.anchors) as running:
            got = running.get(f"{V4}?{ask_for()}&{AZURE}")

        assert ("max-age=0", "0") == (
            got["cache-control"],
            json.loads(got.body)["cacheMaxAge"],
        )
        assert got["warning"].startswith('110 - "expired ')


def test_sightings(intel, tmp_path):
    """
    Who asked is written down, by whichever way it was answered: when last,
    at which raw TCBs, and who is not known.
    """
    path = tmp_path / "thim.db"
    new_store(path, intel.anchors)
    fast, slow = entry(intel, "fast", AT, raw=(AT,)), entry(intel, "slow", AT)
    with Ledger(path, intel.anchors) as ledger:
        ledger.platforms.enter([fast, slow], NOW)
    later = NOW + datetime.timedelta(days=1)
    with serving(path, lambda: later, anchors=intel.anchors) as running:
        exchange(running.port, request(ask_for("slow", HIGH)))
        exchange(running.port, request(ask_for("fast")))
        exchange(running.port, request(ask_for("fast")))
        for _ in range(3):
            exchange(running.port, request(ask_for("nobody")))
    with contextlib.closing(Replica(path)) as replica:
        reader = PckReader(replica)
        known = [reader.find_platform(one.id) for one in (fast, slow)]
        strangers = replica.rows("SELECT qe_id, count FROM strangers")

    assert [(later, (AT,)), (later, (HIGH,))] == [
        (one.last_seen, one.seen_raw_tcbs) for one in known if one
    ]
    assert [(platform_id("nobody").qe_id, 3)] == strangers


class TestOutbox:
    def test_order(self, store, intel):
        """
        On many connections at once, each gets its own answers in its order,
        whichever way they are made and however fast it asks.
        """
        with serving(store, lambda: NOW, anchors=intel.anchors) as running:
            paths = [
                f"{V4}?{ask_for(who)}" for who in ("one", "unseen", "nobody")
            ]
            paths.append("/sgx/certification/v4/fmspcs")
            expected = {path: running.get(path).body for path in paths}
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                found = list(
                    pool.map(
                        lambda seed: converse(running.port, paths, seed),
                        range(16),
                    )
                )

        assert 16 * 60 == sum(map(len, found))
        for path, body in itertools.chain.from_iterable(found):
            assert expected[path] == body

    def test_not_overtaken(self, store):
        """
        An answer from memory does not overtake one that is still due.
        """

        async def scenario():
            memo, desk = Memo(1_000_000), make_desk(store)
            remembered = request("", path="/other")
            memo.remember(
                remembered,
                Reply(
                    status=200, headers=(), body=b"other", until=float("inf")
                ),
            )
            desk.learn(request(ask_for()))
            transport = Recording()
            connection = connect(transport, memo=memo, pck=desk)
            for raw in (request(ask_for()), remembered):
                connection.data_received(raw)
            await asyncio.sleep(0)
            connection.connection_lost(None)
            desk.close()
            return transport.sent

        first, second = asyncio.run(scenario())

        assert b"BEGIN CERTIFICATE" in first
        assert second.endswith(b"other")

    def test_end(self, store):
        """
        A connection that is ended gets what is due first.
        """

        async def scenario():
            desk = make_desk(store)
            desk.learn(request(ask_for()))
            transport = Recording()
            connection = connect(transport, pck=desk)
            connection.data_received(request(ask_for()))
            connection.shutdown()
            desk.close()
            return transport.sent

        (only,) = asyncio.run(scenario())

        assert b"BEGIN CERTIFICATE" in only

    def test_gone(self):
        """
        Who has gone before its answer is sent gets none, and hinders nobody.
        """
        sent = []

        def pretend(name, *, is_gone):
            transport = types.SimpleNamespace(
                write=lambda answer: sent.append((name, answer)),
                is_closing=lambda: is_gone,
            )
            return types.SimpleNamespace(
                loop=types.SimpleNamespace(call_soon=lambda _flush: None),
                transport=transport,
                is_owed=False,
            )

        outbox = Outbox()
        here, gone = pretend("a", is_gone=False), pretend("b", is_gone=True)
        for connection in (gone, here):
            outbox.add(connection, b"answer")
        assert here.is_owed
        outbox.flush()

        assert [("a", b"answer")] == sent
        assert not here.is_owed
        assert not gone.is_owed


class Recording(asyncio.Transport):
    """
    A transport that keeps what is sent.
    """

    def __init__(self):
        super().__init__()
        self.sent = []
        self.is_closed = False

    def write(self, data):
        """
        Keep it, unless the connection has ended.
        """
        assert not self.is_closed
        self.sent.append(data)

    def is_closing(self):
        """
        Tell whether the connection has ended.
        """
        return self.is_closed

    def close(self):
        """
        End the connection.
        """
        self.is_closed = True


def make_desk(store):
    """
    A desk over *store*, at NOW.
    """
    return PckDesk(
        store, datetime.timedelta(days=1), ("v4",), lambda r: r, Sightings()
    )


def connect(transport, **state):
    """
    A connection that nothing but the fast path answers.
    """
    config = uvicorn.Config(None, lifespan="off", log_config=None)
    config.load()
    state = {"limits": Limits(), "now": NOW.timestamp, **state}
    connection = FastHttpProtocol(config, ServerState(), state)
    connection.connection_made(transport)
    return connection


def converse(port, paths, seed):
    """
    Ask sixty times on one connection, two or three at a time.
    """
    draw = random.Random(seed)
    found: list[tuple[str, bytes]] = []
    with (
        contextlib.closing(
            socket.create_connection(("127.0.0.1", port), timeout=10)
        ) as connection,
        connection.makefile("rb") as answers,
    ):
        while len(found) < 60:
            some = draw.choices(paths, k=3)
            for path in some:
                target, _, query = path.partition("?")
                connection.sendall(request(query, path=target))
            found += [(path, read_answer(answers)[1]) for path in some]
    return found
