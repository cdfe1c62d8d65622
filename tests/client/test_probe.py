import asyncio
import gc
import socket

import pytest

from tests.upstream.raw import OK, answering, make_tls, say, say_nothing
from thim.client.probe import ask_all, probe
from thim.client.qcnl import Wanted


HEX = b"30820123" + b"0" * 80


def reply(body, head=OK, more=b""):
    """
    Answer with *body*.
    """
    length = b"content-length: %d\r\n" % len(body)
    return say(head + more + length + b"\r\n" + body)


def seen(script, tls=None, **changes):
    """
    Return level and name of what is seen of a server, and what it was asked.
    """

    async def scenario():
        async with answering(script, tls=tls) as raw:
            url = f"{raw.url}/sgx/certification/v4/"
            settings = {"pccs_url": url, "collateral_service": url, **changes}
            findings = await ask_all(Wanted(**settings), 0.5)
            return findings, raw.requests

    findings, requests = asyncio.run(scenario())
    return [(f.level.word, f.name) for f in findings], findings, requests


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """
    No proxy between the test and its server.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


class TestAnswers:
    @pytest.mark.parametrize(
        "body", [HEX, HEX.lower(), b"\x30\x82\x01\x23x", b"-----BEGIN X509 CRL"]
    )
    def test_pccs(self, body):
        """
        Who gives a root CRL is a PCCS, in whichever encoding.
        """
        found, (finding,), (request,) = seen(reply(body))

        assert [("note", "answers")] == found
        assert "a PCS or PCCS answers" in finding.message
        assert request.startswith(b"GET /sgx/certification/v4/rootcacrl HTTP")

    def test_thim(self):
        """
        A thim is known by its header.
        """
        _, (finding,), _ = seen(reply(HEX, more=b"thim-digest: x\r\n"))

        assert "thim answers" in finding.message

    @pytest.mark.parametrize(
        ("script", "name"),
        [
            (reply(b"<html>"), "not-a-pccs"),
            (reply(b""), "not-a-pccs"),
            (reply(b"x" * 500_000), "not-a-pccs"),
            (reply(b"", b"HTTP/1.1 404 No\r\n"), "unexpected-status"),
            (reply(b"", b"HTTP/1.1 500 No\r\n"), "unexpected-status"),
            (
                reply(b"", b"HTTP/1.1 301 No\r\n", b"location: /x\r\n"),
                "redirect",
            ),
            (say(b"SSH-2.0-x\r\n"), "no-http"),
            (say(b""), "no-http"),
            (say_nothing, "timeout"),
        ],
    )
    def test_bad(self, script, name):
        """
        Whatever else answers is an error with a name of its own.
        """
        found, _, requests = seen(script)

        assert [("error", name)] == found
        assert 1 == len(requests)

    def test_agent(self):
        """
        Of an agent any answer will do, as it is asked without parameters.
        """

        async def scenario():
            script = reply(b"", b"HTTP/1.1 400 No\r\n")
            async with answering(reply(HEX), script) as raw:
                url = f"{raw.url}/"
                wanted = Wanted(
                    pccs_url=url, collateral_service=url, local_pck_url=url
                )
                findings = await ask_all(wanted, 2)
                return {f.message.partition(":")[0]: f.name for f in findings}

        names = asyncio.run(scenario())

        assert {"pccs_url", "local_pck_url"} == names.keys()

    @pytest.mark.parametrize(
        ("more", "who"),
        [(b"", "something"), (b"thim-reason: parameter\r\n", "thim")],
    )
    def test_agent_asked_as_by_qcnl(self, more, who):
        """
        It is asked with the header that QCNL is told to send, and a thim is
        known by its own.
        """

        async def scenario():
            script = reply(b"", b"HTTP/1.1 400 No\r\n", more)
            async with answering(script, script) as raw:
                wanted = Wanted(
                    pccs_url=f"{raw.url}/",
                    collateral_service=f"{raw.url}/",
                    local_pck_url=f"{raw.url}/metadata/",
                )
                _, finding = await ask_all(wanted, 2)
                return finding, raw.requests

        finding, requests = asyncio.run(scenario())
        (asked,) = [one for one in requests if b"/metadata/" in one]

        assert f"{who} answers, 400 where no platform" in finding.message
        assert b"\r\nmetadata: true\r\n" in asked.lower()

    def test_places(self):
        """
        What is seen is said where the URL stands.
        """
        _, (finding,), _ = seen(reply(HEX), places={"pccs_url": (3, 5)})

        assert (3, 5) == (finding.line, finding.column)


class TestSilence:
    def test_refused(self):
        """
        A port on which nobody listens.
        """
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        found = probe(Wanted(pccs_url=url, collateral_service=url))

        assert ["refused"] == [f.name for f in found]

    def test_several_addresses(self, monkeypatch):
        """
        A name with several addresses, and nobody at any of them.
        """
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")

        def resolve(*_arguments, **_options):
            return [(*kind, (f"127.0.0.{n}", port)) for n in (1, 2)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = f"http://two.invalid:{port}/"
        found = probe(Wanted(pccs_url=url, collateral_service=url))

        assert ["refused"] == [f.name for f in found]

    def test_unreachable(self):
        """
        An address to which no connection can be made.
        """
        url = "http://255.255.255.255/"
        found = probe(Wanted(pccs_url=url, collateral_service=url))

        assert ["unreachable"] == [f.name for f in found]

    def test_name(self, monkeypatch):
        """
        A name that nobody knows.
        """

        def unknown(*_arguments, **_options):
            raise socket.gaierror(socket.EAI_NONAME, "Name not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        url = "https://nobody.invalid/"
        found = probe(Wanted(pccs_url=url, collateral_service=url))

        assert ["name-not-found"] == [f.name for f in found]

    def test_no_url(self):
        """
        What is no URL is not asked: that was said before.
        """
        wanted = Wanted(pccs_url="https://[::1/", collateral_service="x y")

        assert () == probe(wanted)


class TestTls:
    def test_trusted(self, tmp_path, monkeypatch):
        """
        The system's store decides, or the file that is named instead.
        """
        tls, ca = make_tls(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))

        assert [("note", "answers")] == seen(reply(HEX), tls)[0]

    def test_untrusted(self, tmp_path):
        """
        A certificate that nobody here trusts is an error that says why.
        """
        found, (finding,), _ = seen(reply(HEX), make_tls(tmp_path)[0])

        assert [("error", "tls-failed")] == found
        assert "self-signed certificate" in finding.message

    def test_none(self):
        """
        So is a server that speaks no TLS at all.
        """

        async def greet(_reader, writer):
            writer.write(b"220 smtp.example\r\n")
            await writer.drain()
            writer.close()

        async def scenario():
            server = await asyncio.start_server(greet, "127.0.0.1", 0)
            async with server:
                port = server.sockets[0].getsockname()[1]
                url = f"https://127.0.0.1:{port}/"
                wanted = Wanted(pccs_url=url, collateral_service=url)
                return await ask_all(wanted, 2)

        (finding,) = asyncio.run(scenario())

        assert "tls-failed" == finding.name
        assert "pccs_url: TLS: " in finding.message

    def test_silence(self):
        """
        A server that says nothing to TLS costs the time that there is, and
        leaves nothing open.
        """

        async def scenario():
            async with answering(say_nothing) as raw:
                url = f"https://127.0.0.1:{raw.port}/"
                wanted = Wanted(pccs_url=url, collateral_service=url)
                return await ask_all(wanted, 0.3)

        (finding,) = asyncio.run(scenario())
        gc.collect()

        assert "timeout" == finding.name

    def test_other_name(self, tmp_path, monkeypatch):
        """
        So is one for another name.
        """
        tls, ca = make_tls(tmp_path, "127.0.0.9")
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))
        _, (finding,), _ = seen(reply(HEX), tls)

        assert "tls-failed" == finding.name
        assert "127.0.0.1" in finding.message

    def test_unchecked(self, tmp_path):
        """
        Where QCNL would not look, it is a warning.
        """
        tls, _ = make_tls(tmp_path)
        found, (finding,), _ = seen(reply(HEX), tls, is_verified=False)

        assert [("warning", "tls-failed")] == found
        assert "use_secure_cert is false" in finding.message
