"""
Whatever a client sends, and however slowly: a clean refusal, and no harm.
"""

import logging
import re
import socket
import struct
import time

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.tiny import certify, serving, status
from thim.http.limits import Limits


SMALL = Limits(
    request_line=100, headers=300, header_count=5, body=1000, pipelined=3
)
QUICK = Limits(header_seconds=0.08, request_seconds=0.16, linger_seconds=0.05)
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"


def post(length, body=None):
    """
    The bytes of a POST.
    """
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length
    return head + (b"x" * length if body is None else body)


def headers(size):
    """
    A request whose header block, with its line ends, is of that size.
    """
    return b"GET /a HTTP/1.1\r\nHost: x\r\nA: %b\r\n\r\n" % (b"x" * (size - 14))


def is_refusal(answer, code, words):
    """
    Whether the answer is a refusal that says so.
    """
    return (
        status(answer) == code
        and words in answer.rpartition(b"\r\n\r\n")[2]
        and b"\r\nconnection: close\r\n" in answer
        and b"\r\ncontent-type: text/plain" in answer
    )


@pytest.fixture(scope="module")
def small():
    """
    An application with small limits.
    """
    with serving(limits=SMALL) as tiny:
        yield tiny


@pytest.fixture(scope="module")
def quick():
    """
    An application with little patience.
    """
    with serving(limits=QUICK) as tiny:
        yield tiny


@pytest.fixture(autouse=True)
def _forget(request):
    """
    Begin each test with nothing asked.
    """
    for name in {"small", "quick"} & set(request.fixturenames):
        tiny = request.getfixturevalue(name)
        tiny.app.memo.clear()
        tiny.app.asked.clear()
        tiny.app.gate.clear()


OVER = [
    (b"GET /%b HTTP/1.1\r\n\r\n" % (b"x" * 87), 414, b"100 bytes"),
    (b"GET /" + b"x" * 100, 414, b"100 bytes"),
    (headers(301), 431, b"300 bytes"),
    (b"GET /a HTTP/1.1\r\n" + b"A: b\r\n" * 7, 431, b"5 headers"),
    (post(1001, b""), 413, b"1000 bytes"),
    (post(1001), 413, b"1000 bytes"),
    (CHUNKED + b"\r\n3e9\r\n" + b"x" * 1001, 413, b"1000 bytes"),
    (CHUNKED + b"\r\n" + b"1\r\nx\r\n" * 1001, 413, b"1000 bytes"),
    (CHUNKED + b"\r\n0\r\n" + b"A: b\r\n" * 7, 431, b"5 headers"),
]


class TestSizes:
    @pytest.mark.parametrize(("raw", "code", "words"), OVER)
    def test_over(self, small, raw, code, words):
        """
        What is over a limit is refused, naming the limit; the connection is
        closed and the application never asked.
        """
        with small.connect() as wire:
            answer = wire.ask(raw)

            assert is_refusal(answer, code, words)
            assert wire.is_ended()
        assert not small.app.asked

    @pytest.mark.parametrize(
        "raw",
        [
            b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 86),
            headers(300),
            b"GET /a HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 4 + b"\r\n",
            post(1000),
            CHUNKED + b"\r\n3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n",
        ],
    )
    def test_at_limit(self, small, raw):
        """
        What just keeps to a limit is answered.
        """
        assert 200 == status(small.ask(raw))

    @pytest.mark.parametrize(
        ("begin", "more", "code"),
        [
            (b"GET /a HTTP/1.1\r\nA: ", b"x", 431),
            (b"GET /a HTTP/1.1\r\nA:", b" ", 431),
            (b"GET /a HTTP/1.1\r\n", b"x", 431),
            (CHUNKED + b"\r\n0\r\nA: ", b"x", 413),
            (CHUNKED + b"\r\n1;a=", b"x", 413),
        ],
    )
    def test_endless(self, small, begin, more, code):
        """
        What never comes to an end, and so is never parsed, is refused.
        """
        with small.connect() as wire:
            wire.send(begin)
            for _ in range(40):
                wire.send(more * 1024)

            assert code == status(wire.answer())
        assert not small.app.asked

    def test_default_limits(self):
        """
        An application that says nothing has the default limits.
        """
        most = Limits().headers
        with serving() as tiny:
            assert 200 == status(tiny.ask(headers(most)))
            assert 431 == status(tiny.ask(headers(most + 1)))
            assert 414 == status(tiny.ask(b"GET /" + b"x" * 8192))
            assert 413 == status(tiny.ask(post(Limits().body + 1, b"")))

    def test_still_sending(self):
        """
        A client that sends on and on after a refusal gets to see it.
        """
        with serving() as tiny, tiny.connect() as wire:
            wire.send(post(3 * 1024 * 1024))

            assert 413 == status(wire.answer())

    def test_large_body(self):
        """
        A large body comes to the application whole, announced or in chunks.
        """
        chunks = b"8000\r\n%b\r\n" % (b"x" * 0x8000) * 60 + b"0\r\n\r\n"
        with serving() as tiny:
            tiny.ask(post(1_900_000))
            tiny.ask(CHUNKED + b"\r\n" + chunks)

        assert [1_900_000, 60 * 0x8000] == [len(b) for *_, b in tiny.app.asked]

    def test_tls(self, tmp_path):
        """
        Under TLS the refusals are the same.
        """
        tls = certify(tmp_path)
        limits = Limits(request_line=100, linger_seconds=0.05)
        with serving(tls=tls, limits=limits) as tiny, tiny.connect() as wire:
            answer = wire.ask(OVER[0][0])

            assert is_refusal(answer, 414, b"100 bytes")
            assert wire.is_ended()

    def test_continue(self, small):
        """
        A client that waits to be told to go on is told.
        """
        with small.connect() as wire:
            wire.send(
                b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                b"Expect: 100-continue\r\n\r\n"
            )
            assert b"HTTP/1.1 100 Continue\r\n" == wire.file.readline()
            assert b"\r\n" == wire.file.readline()
            assert wire.ask(b"ab").endswith(b" ab")

    def test_refused_before_continue(self, small):
        """
        A client that asks first whether to send too much is refused.
        """
        raw = post(1001, b"").replace(
            b"\r\n", b"\r\nExpect: 100-continue\r\n", 1
        )

        assert is_refusal(small.ask(raw), 413, b"1000 bytes")


class TestForm:
    @pytest.mark.parametrize(
        "raw",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on",
            b"GET\r\n\r\n",
            b"GET /a HTTP/1.1\nHost: x\n\n",
            b"GET /a HTTP/1.1\r\nHost : x\r\n\r\n",
            b"GET /a HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            b"GET /a HTTP/1.1\r\nA: b\x00c\r\n\r\n",
            b"GET /\x00 HTTP/1.1\r\n\r\n",
            b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
            b"GET /a?\xff HTTP/1.1\r\n\r\n",
            b"GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET a HTTP/1.1\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\n\r\n",
            b"CONNECT x:443 HTTP/1.1\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"BREW /a HTTP/1.1\r\n\r\n",
            b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            post(2).replace(b"\r\n", b"\r\nContent-Length: 1\r\n", 1),
            b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n\r\n"
            % (b"9" * 30),
            CHUNKED + b"Content-Length: 2\r\n\r\n",
            CHUNKED + b"\r\nx\r\n",
            b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            GET.replace(
                b"Host: x", b"Connection: upgrade\r\nUpgrade: websocket"
            ),
        ],
    )
    def test_malformed(self, small, raw):
        """
        What is no valid request is refused, and the application never asked.
        """
        assert is_refusal(small.ask(raw), 400, b"")
        assert not small.app.asked

    @pytest.mark.parametrize(
        "raw",
        [
            b"GET /a HTTP/1.1\r\n\r\n",
            b"GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            b"GET /a HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
            b"GET /a HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
        ],
    )
    def test_host(self, small, raw):
        """
        A request without ``Host``, or with two, is refused: RFC 9112, 3.2.
        """
        assert is_refusal(small.ask(raw), 400, b"one Host header")
        assert not small.app.asked

    def test_old_host(self, small):
        """
        HTTP/1.0 knows no ``Host``.
        """
        assert 200 == status(small.ask(b"GET /a HTTP/1.0\r\n\r\n"))

    def test_coding(self, small):
        """
        A body in another transfer coding than chunks is refused.
        """
        raw = CHUNKED.replace(b"chunked", b"gzip, chunked") + b"\r\n0\r\n\r\n"

        assert is_refusal(small.ask(raw), 501, b"no transfer coding")
        assert not small.app.asked

    @pytest.mark.parametrize("version", [b"", b" HTTP/0.9", b" HTTP/2.0"])
    def test_version(self, small, version):
        """
        Another HTTP than 1.0 and 1.1 is refused.
        """
        raw = b"GET /a" + version + b"\r\n\r\n"

        assert is_refusal(small.ask(raw), 505, b"HTTP/1.0 and 1.1")

    def test_other_upgrade(self, small):
        """
        An offer of HTTP/2 is ignored, and what follows is not lost.
        """
        offer = (
            b"GET /a HTTP/1.1\r\nHost: x\r\n"
            b"Connection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        )
        with small.connect() as wire:
            wire.send(offer + GET + offer)
            answers = [status(wire.answer()) for _ in "123"]

        assert [200, 200, 200] == answers

    @pytest.mark.parametrize(
        "framing", [b"Content-Length: 38", b"Transfer-Encoding: chunked"]
    )
    @pytest.mark.parametrize(
        "start",
        [
            b"GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
            b"POST /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
            b"CONNECT /a HTTP/1.1\r\n",
        ],
    )
    def test_smuggled(self, small, start, framing):
        """
        What stands in the body beside an offer to upgrade is never taken for
        a request: the connection is refused.
        """
        raw = start + framing + b"\r\n\r\n" + GET
        with small.connect() as wire:
            wire.send(raw)
            assert 400 == status(wire.answer())
            assert wire.is_ended()
        assert not small.app.asked

    def test_head(self, small):
        """
        A refusal of HEAD has no body.
        """
        raw = b"HEAD /%b HTTP/1.1\r\n\r\n" % (b"x" * 200)
        with small.connect() as wire:
            wire.send(raw)
            assert 414 == status(wire.answer(has_body=False))
            assert wire.is_ended()

    def test_gone_before_the_answers(self, small, caplog):
        """
        A client that asks for much, reads nothing and resets the connection
        leaves no trace in the log that looks like an error of ours.
        """
        caplog.set_level(logging.WARNING)
        linger = struct.pack("ii", 1, 0)
        for _ in range(3):
            with small.connect() as wire:
                option = wire.sock.setsockopt
                option(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                option(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                for _ in range(90):  # each by itself, past the memo's answers
                    wire.send(GET.replace(b"/a", b"/large"))
                    time.sleep(0.001)
        assert 200 == status(small.ask(GET))

        assert "" == caplog.text

    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=30),
                st.sampled_from(
                    [GET, GET[:-2], CHUNKED, b"\r\n", b"0\r\n\r\n", b"A: b\r\n"]
                    + [raw for raw, *_ in OVER]
                ),
            ),
            max_size=6,
        )
    )
    @settings(max_examples=60)
    def test_anything(self, small, pieces):
        """
        No bytes make the server fail: it answers or refuses, and goes on.
        """
        with small.connect() as wire:
            wire.send(b"".join(pieces))
            wire.sock.shutdown(socket.SHUT_WR)
            answers = wire.file.read()

        codes = {int(c) for c in re.findall(rb"HTTP/1.1 (\d+) ", answers)}
        assert codes <= {100, 200, 400, 413, 414, 429, 431, 505}
        assert 200 == status(small.ask(GET))

    def test_silent_log(self, small, caplog):
        """
        A refusal is no error of ours, and leaves no trace that looks like one.
        """
        caplog.set_level(logging.INFO)
        for raw, *_ in OVER:
            small.ask(raw)

        assert {logging.INFO} == {record.levelno for record in caplog.records}
        assert "Refused (414)" in caplog.text


class TestOrder:
    @pytest.mark.parametrize(
        "bad", [b"x\r\n", headers(301), post(1001), post(9, b""), OVER[-2][0]]
    )
    def test_after_answers(self, quick, bad):
        """
        Answers that are still due come before the refusal.
        """
        with serving(limits=SMALL) as tiny, tiny.connect() as wire:
            wire.send(GET.replace(b"/a", b"/slow") + GET + bad)
            time.sleep(0.03)
            tiny.app.gate.set()
            answers = [wire.answer(), wire.answer()]
            assert [200, 200] == [status(answer) for answer in answers]
            if bad != post(9, b""):  # that one only waits for more
                assert status(wire.answer()) in {400, 413, 431}
                assert wire.is_ended()

        assert ["/slow", "/a"] == [path for _, path, _ in tiny.app.asked]

    def test_many_waiting(self, small):
        """
        So many requests may wait on one connection, and no more.
        """
        with small.connect() as wire:
            wire.send(GET * 20)
            codes = [status(wire.answer()) for _ in range(5)]

            assert [200, 200, 200, 200, 429] == codes
            assert wire.is_ended()

    def test_many_one_by_one(self, small):
        """
        Requests that come after their predecessor's answer are no number.
        """
        with small.connect() as wire:
            assert {200} == {status(wire.ask(GET)) for _ in range(20)}

    def test_large_waiting(self, small):
        """
        Bodies that wait behind another request are limited together.
        """
        with small.connect() as wire:
            wire.send(GET.replace(b"/a", b"/slow") + post(600) + post(600))
            time.sleep(0.02)
            small.app.gate.set()
            codes = [status(wire.answer()) for _ in "123"]

        assert [200, 200, 429] == codes
        assert 2 == len(small.app.asked)

    def test_waiting_body(self, small):
        """
        A body may come in while an earlier request is being answered.
        """
        with small.connect() as wire:
            wire.send(GET.replace(b"/a", b"/slow") + post(900, b"x" * 100))
            time.sleep(0.02)
            wire.send(b"x" * 800 + GET)
            small.app.gate.set()
            codes = [status(wire.answer()) for _ in "123"]

        assert [200, 200, 200] == codes
        assert b"x" * 900 == small.app.asked[1][2]


class TestTimes:
    def test_silent(self, quick):
        """
        Who says nothing is let go without a word.
        """
        with quick.connect() as wire:
            assert b"" == wire.answer()

    @pytest.mark.parametrize("kept", [b"", GET])
    def test_slow_headers(self, quick, kept):
        """
        Headers that come drop by drop are refused in the end, on a new
        connection and on one that has been used.
        """
        with quick.connect() as wire:
            if kept:
                wire.ask(kept)
                wire.ask(kept)
            self.drip(wire, b"GET /a HTTP/1.1\r\nHost: x and so on and on")

            assert is_refusal(wire.answer(), 408, b"headers took over 0.08 s")
            assert wire.is_ended()

    def test_slow_body(self, quick):
        """
        A body that comes drop by drop is refused in the end, and the
        application never asked.
        """
        with quick.connect() as wire:
            wire.send(post(1000, b""))
            self.drip(wire, b"x" * 30)

            assert is_refusal(wire.answer(), 408, b"request took over 0.16 s")
        assert not quick.app.asked

    def test_empty_lines(self, quick):
        """
        Empty lines are no request that could keep a connection.
        """
        with quick.connect() as wire:
            wire.ask(GET)
            wire.send(b"\r\n")

            assert wire.answer() == b"" or wire.is_ended()

    def test_slow_application(self):
        """
        The time that the application takes is not the client's.
        """
        # The client has to be quick enough on a busy machine too.
        patient = Limits(header_seconds=0.6, request_seconds=0.8)
        with serving(limits=patient) as tiny, tiny.connect() as wire:
            wire.send(GET.replace(b"/a", b"/slow"))
            time.sleep(0.02)
            wire.send(GET + GET[:20])
            time.sleep(0.02)
            wire.send(GET[20:])  # is not read for now
            time.sleep(1)
            tiny.app.gate.set()
            answers = [wire.answer() for _ in "123"]

        assert [200, 200, 200] == [status(answer) for answer in answers]

    def test_unread_answers(self):
        """
        A client that never reads its answers loses its connection.
        """
        limits = Limits(stall_seconds=0.1)
        with serving(limits=limits, timeout_keep_alive=0.05) as tiny:
            raw = GET.replace(b"/a", b"/large")
            with tiny.connect() as wire:
                for _ in range(90):
                    wire.send(raw)
                time.sleep(0.1)
                deadline = time.monotonic() + 2
                while tiny.server.server_state.connections:
                    time.sleep(0.01)
                    assert time.monotonic() < deadline

    def drip(self, wire, raw):
        """
        Send a byte at a time until the server has had enough.
        """
        wire.sock.settimeout(0.01)
        for byte in raw:
            wire.send(bytes([byte]))
            try:
                if wire.sock.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        wire.sock.settimeout(5)
