import contextlib
import gzip
import http.client
import time
import urllib.parse

import pytest

from tests.simulate.asking import ICE, SAPPHIRE, SGX, ask, judge, tcb
from thim.simulate.broken import (
    Down,
    Garbage,
    Gzip,
    NoChain,
    Oversize,
    Redirect,
    Slow,
    Status,
    Trickle,
    Truncate,
)


@contextlib.contextmanager
def asked(simulated):
    """
    Ask and yield the answer while its body is still to be read.
    """
    port = urllib.parse.urlsplit(simulated.url).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", tcb(ICE))
        yield connection.getresponse()


class TestWire:
    def test_down(self, simulated, get):
        """
        The connection ends without an answer; the request is recorded.
        """
        simulated.faults.add(Down(count=1))
        with pytest.raises(http.client.RemoteDisconnected):
            get(tcb(ICE))

        assert 1 == len(simulated.requests.of("tcb"))
        assert 200 == get(tcb(ICE)).status

    def test_slow(self, simulated, get):
        """
        The answer comes late, and only that one: others do not wait.
        """
        simulated.faults.add(Slow(seconds=1.5, fmspc=ICE))
        begin = time.monotonic()
        get(tcb(SAPPHIRE))
        between = time.monotonic()
        got = get(tcb(ICE))

        assert between - begin < 1.5 <= time.monotonic() - between
        assert 200 == got.status

    @pytest.mark.parametrize("is_gone", [True, False])
    def test_slow_and_ended(self, simulated, is_gone):
        """
        A client that waits, or has gone, does not hold the end up.
        """
        simulated.faults.add(Slow(seconds=3600))
        port = urllib.parse.urlsplit(simulated.url).port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", tcb(ICE))
            while not len(simulated.requests):
                time.sleep(0.001)
            if is_gone:
                connection.close()
            begin = time.monotonic()
            simulated.stop_listening()

        assert time.monotonic() - begin < 10

    def test_trickle(self, simulated):
        """
        The body comes byte by byte and never ends.
        """
        simulated.faults.add(Trickle(interval=0.001))
        with asked(simulated) as answer:
            begun = answer.read(20)

        assert b'{"tcbInfo":{"id":"SG' == begun
        assert answer.getheader("content-length") is None

    def test_status(self, simulated, get):
        """
        Any status, with a body and headers.
        """
        simulated.faults.add(
            Status(
                code=429, retry_after=7, headers={"warning": "x"}, body="slow"
            )
        )
        got = get(tcb(ICE))

        assert (429, "7", "x", b"slow") == (
            got.status,
            got["retry-after"],
            got["warning"],
            got.body,
        )
        assert "request-id" in got

    @pytest.mark.parametrize("size", [None, 0, 10])
    def test_truncated(self, simulated, size):
        """
        Less comes than Content-Length says.
        """
        simulated.faults.add(Truncate(size=size))
        with (
            asked(simulated) as answer,
            pytest.raises(http.client.IncompleteRead) as caught,
        ):
            answer.read()

        promised = int(answer.headers["content-length"])
        assert (promised // 2 if size is None else size) == len(
            caught.value.partial
        )

    @pytest.mark.parametrize("size", [0, 100, 3_000_000])
    def test_oversized(self, simulated, get, size):
        """
        The body is as large as is asked.
        """
        simulated.faults.add(Oversize(size=size))

        assert size == len(get(tcb(ICE)).body)

    def test_endless(self, simulated):
        """
        Or it has no end.
        """
        simulated.faults.add(Oversize())
        with asked(simulated) as answer:
            body = answer.read(20_000_000)

        assert 20_000_000 == len(body)

    def test_no_chain(self, simulated, get):
        """
        The header with the issuer chain is missing.
        """
        simulated.faults.add(NoChain())

        for path in (tcb(ICE), f"{SGX}/pckcrl?ca=platform"):
            names = {name for name, _ in get(path).headers}
            assert not [name for name in names if "chain" in name]

    def test_redirect(self, simulated, get):
        """
        The client is sent elsewhere.
        """
        simulated.faults.add(Redirect(location="/elsewhere", code=307))
        got = get(tcb(ICE))

        assert (307, "/elsewhere", b"") == (
            got.status,
            got["location"],
            got.body,
        )

    def test_garbage(self, simulated, get):
        """
        Noise under a good status, with the headers of the document.
        """
        simulated.faults.add(Garbage(size=100))
        got = get(tcb(ICE))

        assert (200, 100) == (got.status, len(got.body))
        assert "tcb-info-issuer-chain" in got

    def test_gzip(self, simulated, get):
        """
        A compressed body.
        """
        plain = get(tcb(ICE)).body
        simulated.faults.add(Gzip())
        got = get(tcb(ICE))

        assert "gzip" == got["content-encoding"]
        assert plain == gzip.decompress(got.body)

    def test_together(self, simulated, get):
        """
        Several faults add up, in the order in which they were set.
        """
        simulated.faults.add(Slow(seconds=0.05))
        simulated.faults.add(Status(code=503))
        begin = time.monotonic()

        assert 503 == get(tcb(ICE)).status
        assert time.monotonic() - begin >= 0.05


class TestMatching:
    @pytest.mark.parametrize(
        ("fault", "hits"),
        [
            (Status(code=500), 4),
            (Status(code=500, route="tcb"), 2),
            (Status(code=500, route="*crl"), 1),
            (Status(code=500, route="t*"), 2),
            (Status(code=500, fmspc=ICE.lower()), 2),
            (Status(code=500, number=22), 2),
            (Status(code=500, route="tcb", number=22), 1),
            (Status(code=500, ca="platform"), 1),
            (Status(code=500, enclave="QE"), 1),
            (Status(code=500, tee="TDX"), 0),
            (Status(code=500, count=3), 3),
        ],
    )
    def test_match(self, simulated, get, fault, hits):
        """
        A fault hits the requests that it matches, by what they come down to.
        """
        simulated.faults.add(fault)
        statuses = [
            get(path).status
            for path in (
                tcb(ICE),
                tcb(ICE, update="early"),
                f"{SGX}/qe/identity?tcbEvaluationDataNumber=22",
                f"{SGX}/pckcrl?ca=platform",
            )
        ]

        assert hits == statuses.count(500)
        (standing,) = simulated.faults.standing()
        assert hits == standing.hits

    def test_no_such_name(self):
        """
        A fault that could never hit anything is refused.
        """
        with pytest.raises(ValueError, match="root"):
            Down(ca="root")

    def test_refused_request(self, simulated, get):
        """
        A request that would be refused is hit too.
        """
        simulated.faults.add(Status(code=500))

        assert 500 == get("/nowhere").status

    def test_removed(self, simulated, get):
        """
        A fault that has been removed hits nobody.
        """
        number = simulated.faults.add(Status(code=500))
        simulated.faults.add(Status(code=501))

        assert simulated.faults.remove(number)
        assert not simulated.faults.remove(number)
        assert 501 == get(tcb(ICE)).status
        simulated.faults.clear()
        judge(simulated, get(tcb(ICE)))


class TestPort:
    def test_stop_and_listen(self, simulated, get):
        """
        A vendor that is not there refuses connections, and is back on the
        same port.
        """
        with asked(simulated) as answer:
            simulated.stop_listening()
            simulated.stop_listening()
            with pytest.raises(ConnectionRefusedError):
                get(tcb(ICE))
            assert 200 == ask(simulated.admin_url, "/clock").status
            simulated.listen_again()
            simulated.listen_again()

        assert 200 == answer.status == get(tcb(ICE)).status
