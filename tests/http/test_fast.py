"""
The fast path gives the ordinary application's answers, and only where it may.
"""

import logging
import re
import ssl
import time

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.tiny import certify, serving, status, without_sending


GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"

TRICKY_HEADERS = [
    b"Authorization: Basic eDp5",
    b"Proxy-Authorization: Basic eDp5",
    b"Cookie: a=b",
    b"User-Token: a",
    b"Admin-Token: a",
    b"Ocp-Apim-Subscription-Key: a",
    b"X-Forwarded-For: 10.0.0.1",
    b"X-Forwarded-Proto: https",
    b"Forwarded: for=10.0.0.1",
    b"X-Real-IP: 10.0.0.1",
    b"Request-ID: mine",
    b"Metadata: true",
    b'If-None-Match: "1"',
    b"If-Modified-Since: Wed, 25 Nov 2026 08:00:00 GMT",
    b"If-Match: *",
    b'If-Range: "1"',
    b"Range: bytes=0-3",
    b"Expect: 100-continue",
    b"Connection: close",
    b"Connection: keep-alive, upgrade",
    b"Connection: upgrade\r\nUpgrade: h2c",
    b"Content-Length: 0",
    b"Content-Type: application/json",
    b"Transfer-Encoding: chunked",
    b"Anything-Else: a",
]


def find(pattern, answer):
    """
    The first group of a pattern that must be there.
    """
    match = re.search(pattern, answer)
    assert match
    return match[1]


def get(path, *headers):
    """
    The bytes of a GET.
    """
    lines = [b"GET %b HTTP/1.1" % path, b"Host: x", *headers, b"", b""]
    return b"\r\n".join(lines)


@pytest.fixture(scope="module")
def tiny():
    """
    The application with a memo.
    """
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def _forget(request):
    """
    Begin each test with nothing remembered.
    """
    if "tiny" in request.fixturenames:
        running = request.getfixturevalue("tiny")
        running.app.memo.clear()
        running.app.asked.clear()


class TestHit:
    def test_same(self, tiny):
        """
        The second answer is the first, and the application is not asked.
        """
        first, second = tiny.ask(GET), tiny.ask(GET)

        assert without_sending(first) == without_sending(second)
        assert 200 == status(second)
        assert 1 == len(tiny.app.asked)

    def test_other_bytes(self, tiny):
        """
        A request that differs in a byte is another request.
        """
        tiny.ask(GET)

        assert b" /a b=d " in tiny.ask(GET.replace(b"b=c", b"b=d"))

    def test_request_id(self, tiny):
        """
        Each hit has a Request-ID of its own.
        """
        answers = [tiny.ask(GET) for _ in range(4)][1:]
        ids = {find(rb"request-id: ([0-9a-f]{32})\r", a) for a in answers}

        assert 3 == len(ids)

    def test_age(self, tiny):
        """
        A hit's age is that of the moment.
        """
        raw = get(b"/old")
        tiny.ask(raw)

        age = find(rb"\r\nage: (\d+)\r\n", tiny.ask(raw))

        assert 100 <= int(age) <= 102

    def test_counted(self, tiny):
        """
        Hits are counted by the meter that the entry has, and by the server.
        """
        memo, state = tiny.app.memo, tiny.server.server_state
        hits, requests = memo.hits, state.total_requests
        for _ in range(3):
            tiny.ask(GET)

        assert hits + 2 == memo.hits
        assert requests + 3 == state.total_requests
        assert 3 == memo.lookup(GET, 0).meter.hits - hits

    def test_changed(self, tiny):
        """
        When the data change, no answer from before is given.
        """
        tiny.ask(GET)
        before = tiny.app.changes
        tiny.ask(get(b"/change"))

        assert b"\r\n\r\n%d GET" % (before + 1) in tiny.ask(GET)

    @pytest.mark.parametrize("path", [b"/never", b"/missing"])
    def test_not_again(self, tiny, path):
        """
        An answer without an end, or an error, is not given again.
        """
        tiny.ask(get(path))
        tiny.ask(get(path))

        assert 2 == len(tiny.app.asked)


class TestFallThrough:
    @pytest.mark.parametrize("header", TRICKY_HEADERS)
    def test_header(self, tiny, header):
        """
        A request with a header that may make a difference goes to the
        application, and leaves nothing behind.
        """
        end = b"0\r\n\r\n" if b"chunked" in header else b""
        raw = get(b"/a", header) + end
        with tiny.connect() as wire:
            answer = wire.ask(raw)

        assert 200 == status(answer)
        tiny.ask(raw)
        assert 2 == len(tiny.app.asked)
        assert 0 == len(tiny.app.memo)

    @pytest.mark.parametrize(
        "raw",
        [
            b"GET /a HTTP/1.0\r\nHost: x\r\n\r\n",
            b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
            b"DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /a?%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 4096),
        ],
    )
    def test_other_request(self, tiny, raw):
        """
        Whatever is no plain GET by HTTP/1.1 goes to the application.
        """
        tiny.ask(raw)

        assert 200 == status(tiny.ask(raw))
        assert 2 == len(tiny.app.asked)
        assert 0 == len(tiny.app.memo)

    def test_pipelined(self, tiny):
        """
        Requests that come together are answered in order by the application.
        """
        raw = get(b"/a") + get(b"/b") + get(b"/a")
        with tiny.connect() as wire:
            wire.send(raw)
            bodies = [wire.answer().rpartition(b"\r\n\r\n")[2] for _ in "123"]

        assert [b"/a", b"/b", b"/a"] == [body.split()[2] for body in bodies]
        assert 0 == len(tiny.app.memo)

    def test_split(self, tiny):
        """
        A request that comes in parts is answered by the application, though
        the same request in one part is remembered.
        """
        whole = tiny.ask(GET)
        with tiny.connect() as wire:
            wire.send(GET[:20])
            time.sleep(0.02)
            answer = wire.ask(GET[20:])

        assert without_sending(whole) == without_sending(answer)
        assert 2 == len(tiny.app.asked)

    def test_busy(self, tiny):
        """
        A remembered request behind one that is being answered waits its turn.
        """
        tiny.ask(GET)
        with tiny.connect() as wire:
            wire.send(get(b"/slow"))
            time.sleep(0.02)
            wire.send(GET)
            time.sleep(0.02)
            tiny.app.gate.set()
            answers = wire.answer(), wire.answer()

        assert b"GET /slow" in answers[0]
        assert b"GET /a" in answers[1]

    def test_unread(self, tiny):
        """
        A client that does not read is made to wait, and misses nothing.
        """
        raws = [get(b"/large%d" % (i % 3)) for i in range(120)]
        with tiny.connect() as wire:
            for raw in raws:
                wire.send(raw)
                time.sleep(0.0002)
            answers = [wire.answer() for _ in raws]

        assert [b"/large%d" % (i % 3) for i in range(120)] == [
            find(rb"GET (\S+)", answer) for answer in answers
        ]


class TestConnection:
    def test_kept_alive_by_hits(self):
        """
        The time of idleness counts from the last hit, and it does end.
        """
        with serving(timeout_keep_alive=0.1) as tiny, tiny.connect() as wire:
            for _ in range(4):
                assert 200 == status(wire.ask(GET))
                time.sleep(0.06)

            assert 1 == len(tiny.app.asked)
            assert wire.is_ended()

    def test_logged(self, caplog):
        """
        A hit has the same line in the access log.
        """
        raw = get(b"/a%20b/%7Ec?d=%20e")
        caplog.set_level(logging.INFO, "uvicorn.access")
        with serving(access_log=True) as tiny, tiny.connect() as wire:
            wire.ask(raw)
            wire.ask(raw)
        lines = [
            record.getMessage()
            for record in caplog.records
            if record.name == "uvicorn.access"
        ]

        assert 1 == len(tiny.app.asked)
        assert 2 == len(lines)
        assert lines[0] == lines[1]

    def test_without_memo(self):
        """
        Without a memo everything goes to the application.
        """
        with serving(memo=None) as tiny:
            tiny.ask(GET)
            tiny.ask(GET)

        assert 2 == len(tiny.app.asked)

    def test_tls(self, tmp_path):
        """
        Hits are given under TLS too.
        """
        with serving(tls=certify(tmp_path)) as tiny, tiny.connect() as wire:
            answers = [without_sending(wire.ask(GET)) for _ in "123"]

        assert 1 == len(set(answers))
        assert 1 == len(tiny.app.asked)

    def test_client_certificates(self, tmp_path):
        """
        Where clients may show certificates, nothing is remembered.
        """
        tls = certify(tmp_path)
        with serving(tls=tls, ssl_cert_reqs=ssl.CERT_OPTIONAL) as tiny:
            tiny.ask(GET)
            tiny.ask(GET)

        assert 2 == len(tiny.app.asked)


PATHS = st.sampled_from(
    [b"/a", b"/b?c=%20", b"/old", b"/never", b"/missing", b"/change", b"/large"]
)
PLAIN = st.sampled_from([b"/a", b"/b?c=%20", b"/old"]).map(get)
REQUESTS = st.one_of(
    PATHS.map(get),
    st.builds(get, PATHS, st.sampled_from(TRICKY_HEADERS[:17])),
    PATHS.map(lambda path: get(path).replace(b"GET", b"HEAD", 1)),
    st.builds(
        lambda path, body: get(path, b"Content-Length: %d" % len(body)) + body,
        PATHS,
        st.binary(max_size=9),
    ),
)
# What is sent at once, and where it is cut in two.
STEPS = st.one_of(
    st.tuples(st.tuples(PLAIN), st.just(0)),
    st.tuples(
        st.lists(REQUESTS, min_size=1, max_size=3), st.sampled_from([0, 7, 30])
    ),
)


@pytest.fixture(scope="module")
def both():
    """
    The same application with a small memo, and with one that keeps nothing.
    """
    with serving(memo=5000) as fast, serving(memo=0) as ordinary:
        yield fast, ordinary


class TestDifferential:
    @given(steps=st.lists(STEPS, max_size=12))
    @settings(max_examples=60)
    def test_same(self, both, steps):
        """
        However hits, misses, changes, pipelined and split requests are mixed,
        the answers are those of the ordinary application.
        """
        fast, ordinary = both

        assert self.play(fast, steps) == self.play(ordinary, steps)
        assert fast.app.memo.size <= fast.app.memo.capacity

    def play(self, tiny, steps):
        """
        Take the steps on one connection.
        """
        answers = []
        with tiny.connect() as wire:
            for requests, cut in steps:
                raw = b"".join(requests)
                if cut:
                    wire.send(raw[:cut])
                    time.sleep(0.001)
                wire.send(raw[cut:])
                answers += [
                    wire.answer(has_body=not request.startswith(b"HEAD"))
                    for request in requests
                ]
        return [without_sending(answer) for answer in answers]

    def test_hits(self, both):
        """
        That comparison does compare hits.
        """
        fast, ordinary = both
        hits = fast.app.memo.hits
        steps = [([get(b"/a")], 0)] * 3

        assert self.play(fast, steps) == self.play(ordinary, steps)
        assert hits + 2 <= fast.app.memo.hits
        assert 0 == ordinary.app.memo.hits
