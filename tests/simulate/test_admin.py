import contextlib
import http.client
import json
import socket
import urllib.parse

import pytest

from tests.simulate.asking import DAY, HOUR, ICE, NOW, SGX, ask, tcb
from thim.errors import OperatorError
from thim.simulate.admin import MAX_BODY
from thim.simulate.broken import Slow, Status
from thim.simulate.clock import Clock
from thim.simulate.forged import Older
from thim.simulate.server import simulating
from thim.x509.chain import common_name, parse_pem_chain, spki_sha256


@pytest.fixture
def post(simulated):
    """
    Send a body to the admin port; return the status and the JSON.
    """
    port = urllib.parse.urlsplit(simulated.admin_url).port

    def post(path, body, method="POST"):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            answer = connection.getresponse()
            content = answer.read()
        return answer.status, json.loads(content) if content else None

    return post


@pytest.fixture
def look(simulated):
    """
    Ask the admin port.
    """
    return lambda path, **rest: ask(simulated.admin_url, path, **rest)


class TestClock:
    def test_shown(self, look):
        """
        It says what time it is.
        """
        assert {"now": "2026-11-02T09:00:00.000000Z", "frozen": True} == look(
            "/clock"
        ).json

    def test_moved(self, simulated, post):
        """
        It is moved to an instant or by a duration, and the vendor with it.
        """
        status, said = post("/clock", {"now": "2026-12-01T10:00:00+01:00"})

        assert (200, "2026-12-01T09:00:00.000000Z") == (status, said["now"])
        post("/clock", {"advance": "72h"})
        assert NOW + 32 * DAY == simulated.clock()
        got = ask(simulated.url, tcb(ICE))
        assert b'"issueDate":"2026-12-04T00:00:00Z"' in got.body

    def test_frozen(self, simulated, post):
        """
        It is let run and stopped; all in one request if need be.
        """
        _, running = post("/clock", {"frozen": False})
        _, frozen = post(
            "/clock",
            {"frozen": True, "now": "2026-12-01T00:00:00Z", "advance": "1h"},
        )

        assert (False, True) == (running["frozen"], frozen["frozen"])
        assert "2026-12-01T01:00:00.000000Z" == frozen["now"]

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({"now": "yesterday"}, "now: got 'yesterday', "),
            ({"now": "2026-12-01T00:00:00"}, "time zone"),
            ({"now": "9999-12-01T00:00:00Z"}, "clock: got 9999"),
            ({"advance": "10001d"}, "got '10001d', expected at most 10000d"),
            ({"advance": 3}, "advance: got 3, expected text"),
            ({"advance": "3"}, "advance: got '3', expected a duration"),
            ({"frozen": "yes"}, "frozen: got 'yes', expected true or false"),
            ({"thaw": True}, "unknown field `thaw`"),
            ([], "expected a table"),
            (b"{", "not JSON"),
            (b"", "not JSON"),
            (b"[" * 60_000, "not JSON"),
            (b"\xff", "not JSON"),
        ],
    )
    def test_refused(self, simulated, post, body, words):
        """
        What cannot be used is a 400 that says why, and nothing moves.
        """
        status, said = post("/clock", body)

        assert 400 == status
        assert words in said["error"]
        assert NOW == simulated.clock()


class TestFaults:
    def test_set_and_removed(self, simulated, post, look):
        """
        A fault is set, listed with its hits, and removed.
        """
        status, first = post(
            "/faults",
            {"kind": "status", "code": 503, "route": "tcb", "count": 2},
        )
        post("/faults", {"kind": "older", "ago": "3d", "fmspc": ICE})
        hit = ask(simulated.url, tcb(ICE)).status
        listed = look("/faults").json

        assert (201, 503) == (status, hit)
        assert [first["id"], first["id"] + 1] == [f["id"] for f in listed]
        assert {
            "id": first["id"],
            "hits": 1,
            "kind": "status",
            "code": 503,
            "route": "tcb",
            "count": 2,
            "headers": {},
            "body": "",
        } == listed[0]
        assert 204 == look(f"/faults/{first['id']}", method="DELETE").status
        assert 404 == look(f"/faults/{first['id']}", method="DELETE").status
        assert 204 == look("/faults", method="DELETE").status
        assert [] == look("/faults").json

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "down"},
            {"kind": "slow", "seconds": 1},
            {"kind": "trickle"},
            {"kind": "status", "code": 500},
            {"kind": "truncated"},
            {"kind": "oversized"},
            {"kind": "no-chain"},
            {"kind": "redirect", "location": "/"},
            {"kind": "garbage"},
            {"kind": "gzip"},
            {"kind": "wrong-signature"},
            {"kind": "older", "ago": "1d"},
            {"kind": "future", "ahead": "1d"},
            {"kind": "frozen", "until": "2026-07-01T00:00:00Z"},
            {"kind": "forked"},
            {"kind": "moved-root"},
            {"kind": "wrong-chain"},
            {"kind": "wrong-subject"},
            {"kind": "wrong-number"},
            {"kind": "late-signer"},
        ],
    )
    def test_kinds(self, post, fault):
        """
        Every kind can be set.
        """
        status, said = post("/faults", fault)

        assert (201, fault["kind"]) == (status, said["kind"])

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({}, "missing field `kind`"),
            ({"kind": "tired"}, "kind: got 'tired', expected one of down, "),
            ({"kind": "down", "roote": "tcb"}, "unknown field `roote`"),
            ({"kind": "down", "count": 0}, "count: got 0, expected"),
            ({"kind": "down", "fmspc": "00"}, "fmspc: got '00', expected 12"),
            ({"kind": "down", "ca": "root"}, "ca: got 'root', expected one"),
            (
                {"kind": "down", "route": "/sgx/*"},
                "route: got '/sgx/*', expected a pattern for any of tcb, ",
            ),
            (
                {"kind": "down", "platform": "nobody"},
                "platform: got 'nobody', expected ",
            ),
            ({"kind": "slow"}, "missing field `seconds`"),
            ({"kind": "slow", "seconds": -1}, "seconds: got -1, expected"),
            ({"kind": "older", "ago": "1"}, "ago: got '1', expected a dur"),
            ({"kind": "older", "ago": "99999d"}, "expected at most 10000d"),
            ({"kind": "future", "ahead": "99999d"}, "expected at most 10000d"),
            ({"kind": "frozen", "until": "x"}, "until: got 'x'"),
            ({"kind": "status", "code": 99}, "code: got 99, expected"),
            (
                {"kind": "status", "code": 500, "headers": {"a b": "x"}},
                "headers",
            ),
            ({"kind": "redirect", "location": "a\nb"}, "location"),
        ],
    )
    def test_refused(self, simulated, post, body, words):
        """
        A fault that cannot be is a 400 that says why.
        """
        status, said = post("/faults", body)

        assert 400 == status
        assert words in said["error"]
        assert [] == simulated.faults.standing()

    def test_in_python(self, simulated):
        """
        Faults are values: those that were set can be looked at.
        """
        faults = [Slow(seconds=1), Older(ago="1h"), Status(code=500)]
        for fault in faults:
            simulated.faults.add(fault)

        assert faults == [s.fault for s in simulated.faults.standing()]


class TestTheRest:
    def test_requests(self, simulated, look):
        """
        The requests are listed, all or those for a route, and forgotten.
        """
        ask(simulated.url, tcb(ICE, update="early"))
        ask(simulated.url, f"{SGX}/qe/identity")
        every = look("/requests").json
        some = look("/requests?route=identity").json

        assert (2, 2, 1) == (
            every["total"],
            len(every["requests"]),
            len(some["requests"]),
        )
        assert {
            "instant": "2026-11-02T09:00:00Z",
            "method": "GET",
            "path": f"{SGX}/tcb",
            "query": f"fmspc={ICE}&update=early",
            "route": "tcb",
            "number": 22,
            "has_key": False,
        } == every["requests"][0]
        assert 204 == look("/requests", method="DELETE").status
        assert {"total": 0, "requests": []} == look("/requests").json

    def test_world(self, look):
        """
        The world is shown, but for its key.
        """
        world = look("/world").json

        assert "default" == world["seed"]
        assert "api_key" not in world["intel"]
        assert [{"csp_id": "cc-north-1.thim.example"}] == (
            world["amd"]["providers"]
        )

    def test_root(self, simulated, look):
        """
        The root certificates are what to trust: Intel's, and one of each
        product line of AMD's.
        """
        roots = parse_pem_chain(look("/root.pem").body)

        assert [
            "Intel SGX Root CA",
            "ARK-Milan",
            "ARK-Genoa",
            "ARK-Turin",
        ] == [common_name(root.subject) for root in roots]
        assert {spki_sha256(root) for root in roots} == {
            *simulated.anchors.spki_sha256
        }

    def test_no_such(self, look, post):
        """
        What is not there is a 404, another method a 405, both in JSON.
        """
        assert (404, "Not Found") == (
            look("/nothing").status,
            look("/nothing").json["error"],
        )
        assert 405 == look("/clock", method="DELETE").status
        assert 404 == look("/faults/x", method="DELETE").status

    def test_too_large(self, simulated, post):
        """
        A body that nobody needs is not read to its end.
        """
        status, said = post("/faults", b" " * (MAX_BODY + 1))

        assert (413, f"expected at most {MAX_BODY} bytes") == (
            status,
            said["error"],
        )

    def test_cut_off(self, simulated, look, capsys):
        """
        A client that breaks off does no harm and makes no noise.
        """
        port = urllib.parse.urlsplit(simulated.admin_url).port
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(
                b"POST /clock HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"
            )

        assert 200 == look("/clock").status
        assert "" == capsys.readouterr().err


class TestAddresses:
    @pytest.mark.parametrize(
        ("address", "words"),
        [
            ("0.0.0.0:0", "everybody has, so only 127.0.0.1"),
            ("192.168.1.1:0", "everybody has, so only 127.0.0.1"),
            ("[::]:0", "everybody has, so only 127.0.0.1"),
            ("example.org:80", "everybody has, so only 127.0.0.1"),
            ("127.0.0.1", "expected HOST:PORT"),
            ("127.0.0.1:65536", "expected HOST:PORT"),
            ("", "expected HOST:PORT"),
        ],
    )
    def test_refused(self, address, words):
        """
        Only loopback will do.
        """
        with (
            pytest.raises(OperatorError, match=words),
            simulating(listen=address),
        ):
            pass

    @pytest.mark.parametrize("host", ["localhost", "[::1]", "127.0.0.2"])
    def test_loopback(self, host):
        """
        Loopback has several names.
        """
        with simulating(listen=f"{host}:0") as running:
            parts = urllib.parse.urlsplit(running.url)
            connection = http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=10
            )
            with contextlib.closing(connection):
                connection.request("GET", "/IntelSGXRootCA.der")
                assert 200 == connection.getresponse().status
            running.stop_listening()
            running.listen_again()

    def test_taken(self):
        """
        An address that is taken is named.
        """
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with (
                pytest.raises(OperatorError, match=f"on {address}: .* in use"),
                simulating(admin=address),
            ):
                pass

    def test_clock_of_the_world(self, tmp_path):
        """
        A world file may say when it begins.
        """
        path = tmp_path / "world.toml"
        path.write_text(
            "[clock]\nstart = 2026-11-02T09:00:00Z\nfrozen = true\n"
            "[intel]\nnumbers = [{number = 1, recovery_event = 2025-01-01}]\n"
        )
        with simulating(path) as running:
            assert NOW == running.clock()
        with simulating(path, Clock(NOW + HOUR, frozen=True)) as running:
            assert NOW + HOUR == running.clock()
