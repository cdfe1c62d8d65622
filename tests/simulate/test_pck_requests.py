import contextlib
import http.client
import socket
import urllib.parse

import msgspec
import pytest

from tests.simulate.asking import SGX, send
from tests.simulate.machines import (
    HIGHEST,
    by_ppid,
)
from thim.errors import ParameterError


@pytest.fixture
def ice(simulated):
    """
    A machine with two raw TCBs.
    """
    return simulated.platform("ice-1")


class TestRefused:
    @pytest.mark.parametrize("what", ["pckcert", "pckcerts", "pckcerts/config"])
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("encrypted_ppid", "00" * 383),
            ("encrypted_ppid", "0x" * 384),
            ("pceid", ""),
            ("pceid", "00000"),
            ("pceid", "+000"),
        ],
    )
    def test_parameter(self, get, ice, what, name, value):
        """
        A parameter of another form is refused by its name; a PPID is not
        repeated.
        """
        path = by_ppid(ice, what, **{**HIGHEST, name: value})
        got = get(path)

        assert (400, "InvalidRequestSyntax") == (got.status, got["error-code"])
        assert got["error-message"].startswith(f"{name}: got ")
        assert value[:100] not in got["error-message"] or len(value) < 100

    @pytest.mark.parametrize(
        ("what", "given", "name"),
        [
            ("pckcert", {"pcesvn": "0D00"}, "cpusvn"),
            ("pckcert", {"cpusvn": "0" * 32}, "pcesvn"),
            ("pckcert", {"cpusvn": "0" * 32, "pcesvn": "0D"}, "pcesvn"),
            ("pckcerts/config", {}, "cpusvn"),
        ],
    )
    def test_missing(self, get, ice, what, given, name):
        """
        So is one that is missing.
        """
        got = get(by_ppid(ice, what, **given))

        assert 400 == got.status
        assert got["error-message"].startswith(f"{name}: got ")

    @pytest.mark.parametrize(
        ("body", "name"),
        [
            (b"", "body"),
            (b"[]", "body"),
            (b'{"a": "\xff"}', "body"),
            (b"[" * 100_000, "body"),
            ({"pceid": "0000"}, "platformManifest"),
            ({"platformManifest": "00" * 8430}, "platformManifest"),
            ({"platformManifest": "00" * 56443}, "platformManifest"),
            ({"platformManifest": "0" * 16863}, "platformManifest"),
            ({"platformManifest": " " * 16862}, "platformManifest"),
            ({"platformManifest": 1}, "platformManifest"),
            ({"platformManifest": "00" * 8431, "pceid": "x"}, "pceid"),
        ],
    )
    def test_body(self, simulated, body, name):
        """
        So is one of a body, and a body that is not JSON.
        """
        got = send(simulated.url, f"{SGX}/pckcerts", body)

        assert (400, "InvalidRequestSyntax") == (got.status, got["error-code"])
        assert got["error-message"].startswith(f"{name}: got ")

    def test_unknown(self, get, ice):
        """
        A PPID of nobody is unknown, and so is one with another PCE ID.
        """
        paths = [
            by_ppid(ice, encrypted_ppid="0" * 768),
            by_ppid(ice, pceid="0100"),
        ]
        assert [404, 404] == [get(path).status for path in paths]

    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("application/json", 400),
            ("Application/JSON; charset=utf-8", 400),
            ("text/plain", 415),
            (None, 415),
        ],
    )
    def test_content_type(self, simulated, kind, status):
        """
        A body is JSON and says so.
        """
        got = send(simulated.url, f"{SGX}/pckcert", b"{}", kind=kind)

        assert status == got.status

    @pytest.mark.parametrize("size", [256 * 1024, 256 * 1024 + 1, 10**7])
    def test_large_body(self, simulated, size):
        """
        A body that is too large is refused with the limit; the connection
        lives on.
        """
        got = send(simulated.url, f"{SGX}/pckcerts", b" " * size)

        assert (400 if size <= 256 * 1024 else 413) == got.status
        assert got.status == 400 or b"more than 262144 bytes" in got.body

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
    def test_method(self, get, ice, method):
        """
        Only GET and POST are answered.
        """
        assert 405 == get(by_ppid(ice), method=method).status

    @pytest.mark.parametrize(
        ("kind", "status"),
        [("RSA-3072", 200), ("rsa-2048", 200), ("RSA-1024", 400)],
    )
    def test_key_type(self, get, ice, kind, status):
        """
        The key for which a PPID is encrypted is one of Intel's.
        """
        headers = {"PPID-Encryption-Key": kind}

        assert status == get(by_ppid(ice), headers).status

    def test_nobody(self, simulated):
        """
        A machine that the world does not have cannot be looked up.
        """
        with pytest.raises(ParameterError, match=r"^platform: got 'x', expect"):
            simulated.platform("x")


class TestKey:
    @pytest.mark.parametrize(
        ("required", "key", "status"),
        [
            (False, None, 200),
            (False, "guess", 401),
            (True, None, 401),
            (True, "secret", 200),
        ],
    )
    def test_key(self, simulated, get, ice, required, key, status):
        """
        The key is optional unless the world requires it; a wrong one never
        goes.
        """
        world = simulated.intel.world
        intel = msgspec.structs.replace(
            world.intel, api_key="secret", require_api_key=required
        )
        simulated.intel.world = msgspec.structs.replace(world, intel=intel)
        headers = {"Ocp-Apim-Subscription-Key": key} if key else {}

        assert status == get(by_ppid(ice), headers).status


class TestBody:
    @pytest.mark.parametrize("sent", [b"", b"{"])
    def test_cut_off(self, simulated, get, sent):
        """
        Whoever leaves before the end of the body has asked nothing.
        """
        address = urllib.parse.urlsplit(simulated.url)
        with socket.create_connection(
            (address.hostname, address.port), 10
        ) as connection:
            connection.sendall(
                b"POST /sgx/certification/v4/pckcert HTTP/1.1\r\n"
                b"Host: x\r\nContent-Length: 9\r\n\r\n" + sent
            )
        get("/nowhere")

        assert ["other"] == [r.route for r in simulated.requests]

    def test_pieces(self, simulated):
        """
        A body may come in pieces.
        """
        address = urllib.parse.urlsplit(simulated.url)
        connection = http.client.HTTPConnection(
            "127.0.0.1", address.port, timeout=10
        )
        with contextlib.closing(connection):
            connection.request(
                "POST",
                f"{SGX}/pckcerts",
                iter([b'{"platform', b'Manifest": "00"}']),
                {"Content-Type": "application/json"},
                encode_chunked=True,
            )
            answer = connection.getresponse()

        assert 400 == answer.status
        assert "got '00'" in answer.headers["error-message"]
