import asyncio
import errno
import socket
import ssl
import subprocess
import sys
import time

import httpx2
import pytest

import thim.client

from tests.client.fake import Said, faking, nobody
from tests.client.wishes import METHOD, SGX
from tests.upstream.raw import (
    OK,
    answering,
    make_tls,
    say,
    say_for_ever,
    say_nothing,
)
from thim.client import (
    BadAnswerError,
    Client,
    ClientError,
    CollateralUnavailableError,
)
from thim.client.cache import VARIABLE
from thim.client.exchange import MOST_ATTEMPTS, MOST_BYTES, blame
from thim.errors import OperatorError


WORD = OK + b"content-length: 4\r\n\r\n"


def error_of(ask, *scripts, tls=None, **settings):
    """
    Ask a server that answers by *scripts*; return the error, and how many
    seconds it took.
    """
    settings = {"timeout": 0.6, **settings}

    async def scenario():
        async with answering(*scripts, tls=tls) as raw:
            return await asyncio.to_thread(measure, raw.url)

    def measure(url):
        began = time.monotonic()
        with pytest.raises(ClientError) as e:
            ask(url, METHOD, SGX, **settings)
        return e.value, time.monotonic() - began

    return asyncio.run(scenario())


PROGRAM = """
import logging, sys
from thim.client import Client, ClientError
url, given = sys.argv[1:]
exec(given)
try:
    Client(url, imds_url=None, cache=None, timeout=0.5).pck_certificate(
        bytes(16), bytes(16), 1, bytes(2)
    )
except ClientError as e:
    print(e)
"""


class TestSilence:
    @pytest.mark.parametrize(
        ("given", "logged"),
        [("pass", False), ("logging.basicConfig()", True)],
    )
    def test_retries(self, given, logged):
        """
        That it asks again is logged where the program has logging set up, and
        nowhere else.
        """
        words = [sys.executable, "-c", PROGRAM, nobody(), given]
        run = subprocess.run(words, capture_output=True, text=True, check=True)

        assert "connection refused" in run.stdout
        assert logged is ("stamina.retry_scheduled" in run.stderr)
        assert logged or run.stderr == ""


class TestCause:
    @pytest.mark.parametrize(
        ("cause", "words"),
        [
            (ConnectionRefusedError(), "nobody listens there: connection ref"),
            (socket.gaierror(-2, "Name not known"), "no such host: Name not"),
            (OSError(errno.ENETUNREACH, "x"), "Network is unreachable"),
            (ssl.SSLError(1, "[SSL] y"), "TLS: "),
            (OSError("GET http://h/?encrypted_ppid=1"), "ConnectError"),
        ],
    )
    def test_unreachable(self, cause, words):
        """
        Why nobody could be reached is said, and nothing of the question.
        """
        error = httpx2.ConnectError("All connection attempts failed")
        error.__cause__ = ExceptionGroup("several", [cause])
        failure = blame(error)

        assert "unreachable" == failure.reason
        assert failure.message.startswith(f"unreachable: {words}")
        assert "ppid" not in failure.message


class TestBounds:
    @pytest.mark.parametrize(
        "script",
        [
            say_nothing,
            say(WORD, each=60),
            say_for_ever(WORD.replace(b"4", b"9999"), b"x", 0.05),
        ],
    )
    def test_time(self, ask, script):
        """
        However a server fails to answer, that is known when the time is up,
        and counts as nobody's answer.
        """
        error, seconds = error_of(ask, script)

        assert isinstance(error, CollateralUnavailableError)
        assert "timeout" == error.reason
        assert seconds < 4

    @pytest.mark.parametrize(
        "script", [say(b""), say(WORD + b"a"), say(b"SSH-2.0-x\r\n\r\n")]
    )
    def test_cut_off(self, ask, script):
        """
        What ends too early is nobody's answer either, and that is said.
        """
        error, _ = error_of(ask, script, timeout=30)

        assert isinstance(error, CollateralUnavailableError)
        assert "cut-off" == error.reason

    @pytest.mark.parametrize(
        ("head", "piece"),
        [
            (
                b"transfer-encoding: chunked\r\n\r\n",
                b"10000\r\n" + b"x" * 65536 + b"\r\n",
            ),
            (b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
            (b"content-length: 9999999\r\n\r\n", b"x" * 65536),
        ],
    )
    def test_bytes(self, ask, head, piece):
        """
        Nobody fills our memory.
        """
        error, _ = error_of(ask, say_for_ever(OK + head, piece), timeout=20)

        assert isinstance(error, BadAnswerError)
        assert "too-large" == error.reason
        assert str(MOST_BYTES) in str(error)


class TestAgain:
    def busy(self, times, answer, **headers):
        """
        Answer 503 so many *times*, and then otherwise.
        """
        seen: dict[str, int] = {}

        def script(path):
            seen[path] = seen.get(path, 0) + 1
            return Said(503, headers) if seen[path] <= times else answer(path)

        return script

    def test_passes(self, ask, pcs_served):
        """
        A service that is busy is asked again.
        """

        def answer(path):
            got = pcs_served.get(path)
            return Said(got.status, dict(got.headers), got.body)

        script = self.busy(2, answer)
        with faking(script) as fake:
            fake.script = lambda p: _clean(script(p))
            got = ask(fake.url, METHOD, SGX)

        assert 19 == got.tcb_evaluation_data_number
        assert 12 == len(fake.asked)

    def test_when_told(self, ask):
        """
        It is asked when it said, and only so often.
        """
        script = self.busy(
            9, None, **{"retry-after": "0", "thim-reason": "filling"}
        )
        with (
            faking(script) as fake,
            pytest.raises(CollateralUnavailableError) as e,
        ):
            ask(fake.url, METHOD, SGX)

        assert "filling" == e.value.reason
        assert 0 == e.value.retry_after
        assert 4 * MOST_ATTEMPTS == len(fake.asked)

    def test_too_late(self, ask):
        """
        It is not waited for longer than there is time.
        """
        began = time.monotonic()
        script = self.busy(9, None, **{"retry-after": "60"})
        with (
            faking(script) as fake,
            pytest.raises(CollateralUnavailableError) as e,
        ):
            ask(fake.url, METHOD, SGX, timeout=5)

        assert 60 == e.value.retry_after
        assert 4 == len(fake.asked)
        assert time.monotonic() - began < 4


def _clean(said):
    gone = {"content-length", "connection", "date"}
    kept = {k: v for k, v in said.headers.items() if k not in gone}
    return Said(said.status, kept, said.body)


class TestTls:
    def test_own_ca(self, ask, pcs_served, tmp_path):
        """
        A service with a certificate of one's own CA is trusted by its file.
        """
        context, file = make_tls(tmp_path)

        def script(path):
            got = pcs_served.get(path)
            return _clean(Said(got.status, dict(got.headers), got.body))

        with faking(script, context) as fake:
            got = ask(fake.url, METHOD, SGX, ca_file=file)
        assert 19 == got.tcb_evaluation_data_number

    @pytest.mark.parametrize("name", ["127.0.0.1", "127.0.0.2"])
    def test_unknown(self, ask, tmp_path, name):
        """
        Without it, or with another name in the certificate, nobody is asked;
        and trying again would not help.
        """
        context, file = make_tls(tmp_path, name)
        settings = {} if name == "127.0.0.1" else {"ca_file": file}
        error, _ = error_of(ask, say(b""), tls=context, timeout=5, **settings)

        assert "tls" == error.reason
        assert isinstance(error, CollateralUnavailableError)

    def test_file(self, ask, tmp_path):
        """
        A file without certificates is said to be none.
        """
        (tmp_path / "ca.pem").write_text("nothing")

        with pytest.raises(OperatorError, match="expected certificates in PEM"):
            ask("https://h", METHOD, SGX, ca_file=tmp_path / "ca.pem")


def test_cookies(ask, pcs_served):
    """
    No cookie is taken.
    """

    def script(path):
        got = pcs_served.get(path)
        headers = {**dict(got.headers), "set-cookie": "a=b"}
        return _clean(Said(got.status, headers, got.body))

    with faking(script) as fake:
        ask(fake.url, METHOD, SGX)
        assert not any("cookie" in headers for headers in fake.headers)


def test_defaults(direct, monkeypatch, tmp_path):
    """
    Without settings there is a cache, and the clock is the machine's.
    """
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with (
        Client(nobody(), timeout=0.2) as client,
        pytest.raises(CollateralUnavailableError),
    ):
        client.verification_collateral(SGX)

    assert (tmp_path / "thim-client").is_dir()


class TestPackage:
    def test_names(self):
        """
        Everything that is promised is there, and nothing else.
        """
        for name in thim.client.__all__:
            assert getattr(thim.client, name).__name__ == name
        with pytest.raises(AttributeError, match="no attribute 'Other'"):
            _ = thim.client.Other
