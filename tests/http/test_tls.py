import contextlib
import socket
import threading
import time

import pytest

from tests.http.test_fast import find, get
from tests.http.tiny import certify, serving, status
from thim.http.limits import Limits


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """
    The tiny application under TLS, as `thim serve` sets it up, on uvloop.
    """
    tls = certify(tmp_path_factory.mktemp("tls"))
    with serving(tls=tls, loop="uvloop") as tiny:
        yield tiny


def test_large_answers_to_a_slow_reader(secure):
    """
    A client that asks for much and reads late gets all of it, in order.
    """
    raws = [get(b"/large%d" % (i % 3)) for i in range(90)]
    with secure.connect() as wire:
        sender = threading.Thread(target=wire.send, args=(b"".join(raws),))
        sender.start()
        sender.join(0.3)
        answers = [wire.answer() for _ in raws]
        sender.join()

    assert [b"/large%d" % (i % 3) for i in range(90)] == [
        find(rb"GET (\S+)", answer) for answer in answers
    ]


def test_large_request(secure):
    """
    A body larger than the buffer comes to the application whole.
    """
    body = b"b" * 200_000
    raw = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"
    with secure.connect() as wire:
        assert wire.ask(raw + body).endswith(body)


def test_many_connections_share_one_buffer(secure):
    """
    What one connection sends never turns up on another.
    """
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(secure.connect()) for _ in range(20)]
        for turn in range(5):
            for i, wire in enumerate(wires):
                wire.send(get(b"/a%d-%d" % (i, turn)))
            for i, wire in enumerate(wires):
                expected = b"/a%d-%d" % (i, turn)
                assert expected in wire.answer()


def test_end_of_the_connection(secure):
    """
    A client that says goodbye is let go.
    """
    with secure.connect() as wire:
        wire.ask(get(b"/a"))
        plain = wire.sock.unwrap()
        plain.shutdown(socket.SHUT_WR)

        assert b"" == plain.recv(1)


def test_end_of_the_service(tmp_path):
    """
    A service that ends does not wait for idle clients that say no goodbye.
    """
    limits = Limits(linger_seconds=0.1)
    tls = certify(tmp_path)
    with serving(tls=tls, limits=limits) as tiny, tiny.connect() as wire:
        wire.ask(get(b"/a"))

        assert tiny.end()


def test_unread_answers(tmp_path):
    """
    A client that never reads its answers loses its connection here too.
    """
    limits = Limits(stall_seconds=0.1)
    tls = certify(tmp_path)
    with (
        serving(tls=tls, limits=limits, loop="uvloop") as tiny,
        tiny.connect() as wire,
    ):
        with contextlib.suppress(OSError):
            for _ in range(90):
                wire.send(get(b"/large"))
        deadline = time.monotonic() + 20
        while tiny.server.server_state.connections:
            time.sleep(0.01)
            assert time.monotonic() < deadline


def test_slow_headers(tmp_path):
    """
    Headers that take too long are refused here too.
    """
    limits = Limits(header_seconds=0.2, linger_seconds=0.1)
    tls = certify(tmp_path)
    with (
        serving(tls=tls, limits=limits, loop="uvloop") as tiny,
        tiny.connect() as wire,
    ):
        wire.send(b"GET /a HTTP/1.1\r\nHost: ")

        assert 408 == status(wire.answer())
        assert wire.is_ended()
