import asyncio
import datetime
import gc
import socket
import threading

import pytest

from tests.client.doctor.looking import SECONDS, facts, make_wish, names, target
from tests.client.fake import Said, faking
from tests.upstream.raw import (
    OK,
    answering,
    make_tls,
    say,
    say_for_ever,
    say_nothing,
)
from thim.client.doctor.looks import examine_all
from thim.client.doctor.reach import reach
from thim.services.clock import utc_now


def look(intel, script, tls=None, seconds=SECONDS, **changes):
    """
    Look at a server that answers by *script*.
    """

    async def scenario():
        async with answering(script, tls=tls) as raw:
            wish = make_wish(intel, seconds=seconds)
            return await examine_all([target(raw.url, **changes)], wish)

    return asyncio.run(scenario())


class TestName:
    def test_unknown(self, monkeypatch):
        """
        A name that nobody knows is told, with what to look at.
        """

        def unknown(*_arguments, **_options):
            raise socket.gaierror(socket.EAI_NONAME, "Name not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        reached = reach(target("https://nobody.invalid"), 5, utc_now())

        assert not reached.is_there
        assert ["name-not-found"] == [t.name for t in reached.troubles]
        assert "getent hosts nobody.invalid" in reached.troubles[0].mend

    def test_slow(self, monkeypatch):
        """
        A resolver that keeps its own time is not waited for.
        """
        over = threading.Event()

        def wait(*_arguments, **_options):
            over.wait(30)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", wait)
        reached = reach(target("https://slow.invalid"), 0.1, utc_now())
        over.set()

        assert "no answer within 0.1 s" in reached.troubles[0].what


class TestConnection:
    def test_refused(self):
        """
        A port on which nobody listens is told, with what to look at.
        """
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
        reached = reach(target(url), 5, utc_now())

        assert ["refused"] == [t.name for t in reached.troubles]
        assert (("addresses", "127.0.0.1"),) == reached.facts

    def test_unreachable(self):
        """
        So is an address to which no connection can be made.
        """
        reached = reach(target("http://255.255.255.255"), 5, utc_now())

        assert ["unreachable"] == [t.name for t in reached.troubles]

    def test_proxy(self, monkeypatch):
        """
        Where a proxy is asked, only it can say how far one comes.
        """
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "elsewhere.example")
        reached = reach(target("http://thim.example"), 5, utc_now())

        assert reached.is_there
        assert "proxy http://127.0.0.1:9" in dict(reached.facts)["by way of"]


class TestTls:
    def test_trusted(self, intel, tmp_path):
        """
        Where a CA file is named it counts, and names and end are told.
        """
        tls, ca = make_tls(tmp_path)
        found = look(intel, say(b""), tls, seconds=5, ca_file=ca)
        told = facts(found)

        assert "tls-failed" not in [name for _, name in names(found)]
        assert "for 127.0.0.1" in told["TLS"]
        assert str(ca) == told["trusted by"]

    def test_untrusted(self, intel, tmp_path):
        """
        A certificate that is not trusted is named, with what would mend it.
        """
        found = look(intel, say(b""), make_tls(tmp_path)[0], seconds=5)
        (trouble,) = found.troubles

        assert ("error", "tls-failed") == names(found)[0]
        assert "it is for 127.0.0.1, to 20" in trouble.what
        assert "just installed" in trouble.cause

    def test_unchecked(self, intel, tmp_path):
        """
        Where QCNL would not look it is a warning.
        """
        tls, _ = make_tls(tmp_path)
        found = look(intel, say(b""), tls, seconds=5, is_verified=False)

        assert [("warning", "tls-failed")] == names(found)
        assert "anyone can answer" in found.troubles[0].mend

    def test_other_name(self, intel, tmp_path):
        """
        A certificate for another name says which names would do.
        """
        tls, ca = make_tls(tmp_path, "127.0.0.9")
        found = look(intel, say(b""), tls, seconds=5, ca_file=ca)

        assert "it is for 127.0.0.9" in found.troubles[0].what
        assert "not in the certificate" in found.troubles[0].cause

    def test_ending(self, intel, tmp_path):
        """
        A certificate that ends soon is warned of.
        """
        tls, ca = make_tls(tmp_path)

        async def scenario():
            async with answering(say(b""), tls=tls) as raw:
                there = target(raw.url, ca_file=ca)
                later = utc_now() + datetime.timedelta(days=3650)
                return await asyncio.to_thread(reach, there, 5, later)

        reached = asyncio.run(scenario())

        assert ["certificate-ends"] == [t.name for t in reached.troubles]

    def test_none(self, intel):
        """
        A server without TLS is not there for https.
        """

        async def scenario():
            async with answering(say(b"")) as raw:
                url = raw.url.replace("http:", "https:")
                wish = make_wish(intel, seconds=SECONDS)
                return await examine_all([target(url)], wish)

        assert [("error", "tls-failed")] == names(asyncio.run(scenario()))

    def test_http(self):
        """
        One that answers in plain HTTP is told so.
        """
        with faking(lambda _: Said()) as fake:
            there = target(fake.url.replace("http:", "https:"))
            reached = reach(there, SECONDS, utc_now())
        (trouble,) = reached.troubles

        assert "TLS: it speaks none there (http:// perhaps)" == trouble.what

    def test_no_file(self, intel, tmp_path):
        """
        A CA file that cannot be used is named.
        """
        tls, _ = make_tls(tmp_path)
        found = look(intel, say(b""), tls, ca_file=tmp_path / "none.pem")

        assert [("error", "client-ca-file")] == names(found)


class TestHostile:
    @pytest.mark.parametrize(
        ("script", "name"),
        [
            (say_nothing, "timeout"),
            (say_for_ever(OK + b"\r\n", b"x" * 65536), "too-large"),
            (say_for_ever(OK + b"\r\n", b"x", 0.01), "timeout"),
            (say_for_ever(OK + b"x: ", b"y" * 65536), "cut-off"),
            (say(b"\x1b[2J\x1b[31m\r\n\r\n"), "cut-off"),
            (say(OK + b"content-encoding: gzip\r\n\r\nx"), "encoded"),
            (say(b"HTTP/1.1 302 x\r\nlocation: /\x07\r\n\r\n"), "redirect"),
            (say(b""), "cut-off"),
        ],
    )
    def test_server(self, intel, script, name):
        """
        No server can keep the look from ending, or have it follow.
        """
        found = look(intel, script)
        gc.collect()

        assert ("error", name) in names(found)

    def test_words(self, intel):
        """
        What a server says of itself is told as text, not obeyed.
        """
        script = say(b"HTTP/1.1 404 x\r\nthim-reason: \x1b[2J\r\n\r\n")
        found = look(intel, script, seconds=5)

        assert ("error", "status-404") in names(found)
        assert "\x1b" not in str(found.troubles)
