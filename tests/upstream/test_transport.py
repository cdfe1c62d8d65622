import asyncio
import datetime
import logging
import time
import tracemalloc

import pytest
import stamina

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.upstream.raw import (
    EMPTY,
    GOOD,
    OK,
    TIMEOUT,
    Raw,
    answering,
    ask,
    ask_in_vain,
    freely,
    get,
    make_tls,
    say,
    say_for_ever,
    say_nothing,
)
from thim.errors import OperatorError, UpstreamError
from thim.upstream.model import Request, Response, Upstream
from thim.upstream.transport import MOST_BYTES, Transport


CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
KIB = 1024
#: What an error may be, as its documentation says.
REASONS = {
    *("unreachable", "timeout", "cut-off", "status-5xx"),
    *("redirect", "too-large", "encoded", "protocol"),
}
#: Two attempts, and what a slow machine needs beside.
PATIENCE = 2 * TIMEOUT + 5
#: For an attempt that is over before, however slow the machine is.
LONG = datetime.timedelta(minutes=1)


@pytest.fixture(autouse=True)
def hurried():
    """
    Retry at once, as often as it is meant to be retried.
    """
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


class TestAnswer:
    def test_whole(self):
        """
        An answer is a status, headers with names in lower case, and a body.
        """
        got, requests = ask(
            say(OK + b"X-One: 1\r\nContent-Length: 4\r\n\r\ngood")
        )

        assert got.url.endswith("/x")
        assert (200, b"good") == (got.status, got.body)
        assert {"x-one": "1", "content-length": "4"} == got.headers
        assert 1 == len(requests)

    def test_first_of_a_header(self):
        """
        Of a header that comes twice the first counts.
        """
        got, _ = ask(say(OK + b"A: 1\r\na: 2\r\ncontent-length: 0\r\n\r\n"))

        assert "1" == got.headers["a"]

    def test_odd_header(self):
        """
        A header may hold any bytes.
        """
        got, _ = ask(say(OK + b"a: \xff\xfe\r\ncontent-length: 0\r\n\r\n"))

        assert "\xff\xfe" == got.headers["a"]

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.0 200 OK\r\n\r\ngood",
            b"HTTP/1.1 200 OK\r\n\r\ngood",
            b"HTTP/1.1 200\r\ncontent-length: 4\r\n\r\ngood",
            CHUNKED + b"2;x=y\r\ngo\r\n2\r\nod\r\n0\r\na: b\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + GOOD,
            b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" + GOOD,
            GOOD + b"HTTP/1.1 200 OK\r\n\r\nsmuggled",
            OK + b"content-encoding: Identity\r\n\r\ngood",
        ],
        ids=[
            *("http-1.0", "till-the-end", "no-phrase", "chunked", "continue"),
            *("hints", "more-behind", "identity"),
        ],
    )
    def test_forms(self, answer):
        """
        Every form of an answer that HTTP/1.1 allows is taken.
        """
        got, _ = ask(say(answer))

        assert (200, b"good") == (got.status, got.body)

    @pytest.mark.parametrize(
        "status", [204, 400, 401, 403, 404, 410, 418, 429, 461]
    )
    def test_status(self, status):
        """
        What a status means is not decided here, nor tried again.
        """
        got, requests = ask(
            say(b"HTTP/1.1 %d So\r\ncontent-length: 0\r\n\r\n" % status)
        )

        assert (status, 1) == (got.status, len(requests))

    @pytest.mark.parametrize("value", [b"30", b"soon", b""])
    @pytest.mark.parametrize("status", [500, 503])
    def test_busy(self, status, value):
        """
        A service that says when to come again is not asked again now.
        """
        got, requests = ask(
            say(
                b"HTTP/1.1 %d So\r\nretry-after: %b\r\n"
                b"content-length: 0\r\n\r\n" % (status, value)
            )
        )

        assert (status, value.decode()) == (
            got.status,
            got.headers["retry-after"],
        )
        assert 1 == len(requests)

    def test_exactly_the_limit(self):
        """
        The largest body that is allowed comes in full.
        """
        body = b"x" * MOST_BYTES
        got, _ = ask(
            say(OK + b"content-length: %d\r\n\r\n" % MOST_BYTES, body),
            timeout=datetime.timedelta(seconds=5),
        )

        assert body == got.body


class TestRequest:
    def test_says(self):
        """
        A request wants nothing compressed, and keeps to itself what it is.
        """

        async def scenario():
            async with answering(say(EMPTY)) as raw:
                await get(raw.upstream(), headers={"some-key": "secret"})
                return raw.requests[0].lower().split(b"\r\n"), raw.port

        lines, port = asyncio.run(scenario())

        assert b"get /x http/1.1" == lines[0]
        assert {
            b"host: 127.0.0.1:%d" % port,
            b"accept: */*",
            b"accept-encoding: identity",
            b"some-key: secret",
        } <= set(lines)
        assert not [line for line in lines if line.startswith(b"cookie")]

    def test_cookies(self):
        """
        Cookies are neither kept nor sent back, however many come.
        """
        cookies = b"".join(b"set-cookie: c%d=x\r\n" % n for n in range(1000))

        async def scenario():
            script = say(OK + cookies + b"content-length: 0\r\n\r\n")
            async with answering(script) as raw:
                transport = Transport(raw.upstream())
                for _ in range(2):
                    await transport.get(Request(url=raw.url), freely)
                kept = len(list(transport._client.cookies.jar))
                await transport.close()
                return kept, raw.requests[1].lower()

        kept, second = asyncio.run(scenario())

        assert 0 == kept
        assert b"cookie" not in second

    def test_no_secret_in_errors(self, caplog):
        """
        A key that no header can hold is in no error and no log.
        """
        caplog.set_level(logging.INFO)
        for key in ("hush\nhush", "hush\0", "hush\xe9"):

            async def scenario(key=key):
                async with answering(say(EMPTY)) as raw:
                    await get(raw.upstream(), headers={"some-key": key})

            with pytest.raises(UpstreamError) as e:
                asyncio.run(scenario())

            assert "protocol" == e.value.reason
            assert "hush" not in str(e.value)

        assert "hush" not in caplog.text


class TestRefused:
    @pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
    def test_redirect(self, status):
        """
        Nobody sends us elsewhere.
        """

        async def scenario():
            async with answering(say(GOOD)) as other:
                script = say(
                    b"HTTP/1.1 %d So\r\nlocation: %b/x\r\n"
                    b"content-length: 0\r\n\r\n" % (status, other.url.encode())
                )
                async with answering(script) as raw:
                    with pytest.raises(UpstreamError) as e:
                        await get(raw.upstream())
                    return e.value.reason, len(raw.requests), other.requests

        assert ("redirect", 1, []) == asyncio.run(scenario())

    @pytest.mark.parametrize(
        "encoding", [b"gzip", b"br", b"identity, gzip", b"GZIP", b"x" * 9999]
    )
    def test_encoded(self, encoding):
        """
        What was not asked for is not unpacked.
        """
        answer = OK + b"content-encoding: %b\r\n\r\nwhatever" % encoding

        assert ("encoded", 1) == ask_in_vain(say(answer))

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 999], ids=str)
    def test_server_error(self, status):
        """
        A service that fails is asked once more.
        """
        answer = b"HTTP/1.1 %d So\r\ncontent-length: 0\r\n\r\n" % status

        assert ("status-5xx", 2) == ask_in_vain(say(answer))

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 200 OK",
            OK + b"content-length: 5\r\n\r\ngood",
            CHUNKED + b"5\r\ngood",
            CHUNKED + b"4\r\ngood\r\n",
            CHUNKED + b"4\r\ngoodgood\r\n0\r\n\r\n",
            CHUNKED + b"-4\r\ngood\r\n0\r\n\r\n",
            CHUNKED + b"0x4\r\ngood\r\n0\r\n\r\n",
            CHUNKED + b"f" * 17 + b"\r\ngood",
            CHUNKED + b"4;" + b"x" * 200 * KIB,
            OK + b"content-length: -1\r\n\r\n",
            OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
            OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            OK + b"no colon\r\n\r\n",
            OK + b"a b: c\r\n\r\n",
            OK + b"a: b\0c\r\n\r\n",
            b"HTTP/1.1 99 OK\r\n\r\n",
            b"HTTP/1.1 1000 OK\r\n\r\n",
            b"HTTP/1.1 101 So\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nx",
            b"HTTP/2 200 OK\r\n\r\n",
            b"<html>hello</html>",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"\x16\x03\x01\x00\x05hello",
            b"\0" * 1000,
            b"\n" * 1000,
        ],
        ids=range(25),
    )
    def test_cut_off(self, answer):
        """
        What ends too early, or is no HTTP, is asked for once more.
        """
        assert ("cut-off", 2) == ask_in_vain(say(answer), timeout=LONG)

    @pytest.mark.parametrize(
        ("first", "again"),
        [
            (OK, b"a: b\r\n" * 1000),
            (OK, b"a" * 10 * KIB),
            (b"", b"x" * 10 * KIB),
            (b"HTTP/1.1 200 ", b"x" * 10 * KIB),
        ],
        ids=["lines", "one-line", "no-line", "phrase"],
    )
    def test_endless_headers(self, first, again):
        """
        Headers have an end, or are cut off by us.
        """
        script = say_for_ever(first, again)

        assert ("cut-off", 2) == ask_in_vain(script)

    def test_unreachable(self):
        """
        Where nobody listens, one more attempt is made.
        """
        permits = []

        async def permit():
            permits.append(1)

        async def scenario():
            async with answering(say(GOOD)) as raw:
                upstream = raw.upstream()
            await get(upstream, permit)

        with pytest.raises(UpstreamError, match=r"127\.0\.0\.1") as e:
            asyncio.run(scenario())

        assert ("unreachable", 2) == (e.value.reason, len(permits))

    def test_no_such_host(self):
        """
        A name that leads nowhere is unreachable.
        """
        upstream = Upstream(
            url="http://thim.invalid", static_url="", proxy="none"
        )
        with pytest.raises(UpstreamError, match=r"thim\.invalid") as e:
            asyncio.run(get(upstream))

        assert e.value.reason in {"unreachable", "timeout"}


class TestPassing:
    @pytest.mark.parametrize(
        "script",
        [
            say(b""),
            say(OK + b"content-length: 5\r\n\r\ngood"),
            say(b"HTTP/1.1 503 So\r\ncontent-length: 0\r\n\r\n"),
            say_nothing,
        ],
        ids=["cut-off", "truncated", "status-5xx", "timeout"],
    )
    def test_once_more(self, script):
        """
        A fault that has passed when we ask again does no harm.
        """
        patience = {} if script is say_nothing else {"timeout": LONG}
        got, requests = ask(script, say(GOOD), say(b""), **patience)

        assert (b"good", 2) == (got.body, len(requests))

    def test_last_one_counts(self):
        """
        The reason is that of the last attempt.
        """
        gone = say(b"HTTP/1.1 302 So\r\ncontent-length: 0\r\n\r\n")

        assert ("redirect", 2) == ask_in_vain(say(b""), gone, timeout=LONG)


class TestTime:
    @pytest.mark.parametrize(
        "script",
        [
            say_nothing,
            say_for_ever(OK, b"a: b\r\n", 0.02),
            say_for_ever(OK + b"\r\n", b"x", 0.02),
            say_for_ever(CHUNKED, b"1\r\nx\r\n", 0.02),
            say_for_ever(CHUNKED + b"1;", b"x", 0.02),
            say_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
            say_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        ],
        ids=[
            *("nothing", "headers", "body", "chunks", "extension"),
            *("continue", "flood"),
        ],
    )
    def test_bounded(self, script):
        """
        An attempt is over in its time, however busy the service looks.
        """
        begin, each = time.monotonic(), datetime.timedelta(seconds=0.5)

        assert ("timeout", 2) == ask_in_vain(script, timeout=each)
        assert 1 <= time.monotonic() - begin < PATIENCE

    def test_in_time(self):
        """
        An answer that takes its time, but not too much, is waited for.
        """
        got, requests = ask(say(OK, b"\r\ngo", b"od", each=0.05))

        assert (b"good", 1) == (got.body, len(requests))

    def test_others_go_on(self):
        """
        A body in countless pieces does not keep the event loop from its work.
        """

        async def scenario():
            laps, over = [], asyncio.Event()

            async def run():
                while not over.is_set():
                    begin = time.monotonic()
                    await asyncio.sleep(0)
                    laps.append(time.monotonic() - begin)

            runner = asyncio.create_task(run())
            script = say_for_ever(CHUNKED, b"1\r\nx\r\n" * 10_000)
            async with answering(script) as raw:
                with pytest.raises(UpstreamError) as e:
                    await get(raw.upstream())
            over.set()
            await runner
            return e.value.reason, len(raw.requests), max(laps)

        reason, requests, longest = asyncio.run(scenario())

        assert ("too-large", 1) == (reason, requests)
        assert longest < 2


class TestBytes:
    @pytest.mark.parametrize(
        ("head", "piece"),
        [
            (OK + b"\r\n", b"x" * 64 * KIB),
            (CHUNKED, b"10000\r\n" + b"x" * 64 * KIB + b"\r\n"),
            (OK + b"content-length: 99999999999\r\n\r\n", b"x" * 64 * KIB),
        ],
        ids=["till-the-end", "chunked", "promised"],
    )
    def test_endless(self, head, piece):
        """
        Of a body without an end we hold no more than the limit and a piece,
        and the service gets rid of little more.
        """
        sent: list[int] = []
        script = say_for_ever(head, piece, sent=sent)
        wait = datetime.timedelta(seconds=10)
        tracemalloc.start()
        try:
            got = ask_in_vain(script, timeout=wait)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert ("too-large", 1) == got
        assert peak < 2 * MOST_BYTES
        assert sum(sent) < 4 * MOST_BYTES

    def test_one_too_many(self):
        """
        A byte more than the limit is too much.
        """
        size = MOST_BYTES + 1
        script = say(OK + b"content-length: %d\r\n\r\n" % size, b"x" * size)
        wait = datetime.timedelta(seconds=5)

        assert ("too-large", 1) == ask_in_vain(script, timeout=wait)


class BudgetError(UpstreamError):
    """
    Raised by the budget of these tests.
    """


def permit_only(most, count):
    """
    Make a budget of *most* attempts; *count* lists those asked for.
    """

    async def permit():
        count.append(1)
        if len(count) > most:
            msg = "spent"
            raise BudgetError(msg, reason="not-now")

    return permit


def ask_within(most, *scripts):
    """
    Ask within a budget; return the error, how often it was asked for a
    permit, and the requests.
    """
    count: list[int] = []

    async def scenario():
        async with answering(*scripts) as raw:
            with pytest.raises(UpstreamError) as e:
                await get(raw.upstream(), permit_only(most, count))
            return e.value, len(count), len(raw.requests)

    return asyncio.run(scenario())


class TestPermit:
    def test_before_the_first(self):
        """
        Without a permit nothing is sent, and no other is asked for.
        """
        error, permits, requests = ask_within(0, say(GOOD))

        assert ("not-now", 1, 0) == (error.reason, permits, requests)

    def test_before_each(self):
        """
        A second attempt needs a second permit.
        """
        error, permits, requests = ask_within(9, say(b""))

        assert ("cut-off", 2, 2) == (error.reason, permits, requests)

    def test_first_failure_counts(self):
        """
        Where there is no permit for a second attempt, the first one's error
        is told: the service has failed.
        """
        error, permits, requests = ask_within(1, say(b""))

        assert ("cut-off", 2, 1) == (error.reason, permits, requests)
        assert error.__cause__ is not None

    def test_ends_by_any_error(self):
        """
        Whatever else a permit raises is passed on.
        """

        async def permit():
            raise KeyError(1)

        async def scenario():
            async with answering(say(GOOD)) as raw:
                with pytest.raises(KeyError):
                    await get(raw.upstream(), permit)
                return raw.requests

        assert [] == asyncio.run(scenario())


class TestTls:
    def reach(self, tls, **changes):
        """
        Ask a server with a certificate.
        """

        async def scenario():
            async with answering(say(GOOD), tls=tls) as raw:
                changes.setdefault("timeout", datetime.timedelta(seconds=5))
                return await get(raw.upstream(**changes))

        return asyncio.run(scenario())

    def test_unknown_authority(self, tmp_path):
        """
        A certificate of an authority that the system does not know is none.
        """
        tls, _ = make_tls(tmp_path)
        with pytest.raises(UpstreamError, match="certificate") as e:
            self.reach(tls)

        assert "unreachable" == e.value.reason

    def test_ca_file(self, tmp_path):
        """
        It is one where the operator says so.
        """
        tls, ca_file = make_tls(tmp_path)

        assert b"good" == self.reach(tls, ca_file=ca_file).body

    def test_other_authority(self, tmp_path):
        """
        What the operator names counts instead of all others.
        """
        tls, _ = make_tls(tmp_path)
        (tmp_path / "other").mkdir()
        _, other = make_tls(tmp_path / "other")
        with pytest.raises(UpstreamError, match="certificate") as e:
            self.reach(tls, ca_file=other)

        assert "unreachable" == e.value.reason

    def test_other_name(self, tmp_path):
        """
        The certificate is for whom we ask.
        """
        tls, ca_file = make_tls(tmp_path, "127.0.0.2")
        with pytest.raises(UpstreamError, match=r"127\.0\.0\.1") as e:
            self.reach(tls, ca_file=ca_file)

        assert "unreachable" == e.value.reason

    def test_no_tls(self, tmp_path):
        """
        Where TLS is expected and does not come, the connection is given up
        and closed.
        """
        _, ca_file = make_tls(tmp_path)

        async def scenario():
            begun: list[int] = []
            gone: asyncio.Queue[int] = asyncio.Queue()

            async def listen(reader, writer):
                begun.append(1)
                while await reader.read(1000):
                    pass
                gone.put_nowait(1)
                writer.close()

            server = await asyncio.start_server(listen, "127.0.0.1", 0)
            raw = Raw(server.sockets[0].getsockname()[1], "https")
            with pytest.raises(UpstreamError) as e:
                await get(raw.upstream(ca_file=ca_file))
            async with asyncio.timeout(2):
                for _ in begun:
                    await gone.get()
            server.close()
            return e.value.reason, len(begun)

        assert ("timeout", 2) == asyncio.run(scenario())

    @pytest.mark.parametrize("content", [None, b"", b"rubbish"])
    def test_bad_ca_file(self, tmp_path, content):
        """
        A CA file without a certificate is the operator's error.
        """
        file = tmp_path / "ca.pem"
        if content is not None:
            file.write_bytes(content)
        upstream = Upstream(
            url="https://v.example", static_url="", ca_file=file
        )
        with pytest.raises(OperatorError, match=r"v\.example") as e:
            Transport(upstream)

        assert "upstream-setting" == e.value.reason


class TestProxy:
    def through(self, monkeypatch, setting, environment=None):
        """
        Ask a server with a proxy about; return which of the two was asked.
        """

        async def scenario():
            async with (
                answering(say(GOOD)) as proxy,
                answering(say(GOOD)) as raw,
            ):
                for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                    monkeypatch.setenv(name, proxy.url)
                    if environment is None:
                        monkeypatch.delenv(name)
                for name in ("NO_PROXY", "no_proxy"):
                    monkeypatch.delenv(name, raising=False)
                use = proxy.url if setting == "this" else setting
                await get(raw.upstream(proxy=use))
                return (
                    [r.split(b" ")[1] for r in proxy.requests],
                    len(raw.requests),
                    f"{raw.url}/x".encode(),
                )

        return asyncio.run(scenario())

    def test_none(self, monkeypatch):
        """
        A direct connection is direct, whatever the environment says.
        """
        proxied, direct, _ = self.through(monkeypatch, "none", "set")

        assert ([], 1) == (proxied, direct)

    def test_environment(self, monkeypatch):
        """
        Unless told otherwise the environment names the proxy.
        """
        proxied, direct, url = self.through(monkeypatch, None, "set")

        assert ([url], 0) == (proxied, direct)

    def test_named(self, monkeypatch):
        """
        A proxy that is named is used.
        """
        proxied, direct, url = self.through(monkeypatch, "this")

        assert ([url], 0) == (proxied, direct)

    @pytest.mark.parametrize(
        "proxy", ["ftp://me:hush@h", "socks5://me:hush@h:1", "nonsense"]
    )
    def test_of_no_use(self, proxy):
        """
        A proxy that cannot be used is the operator's error, which does not
        tell the password.
        """
        upstream = Upstream(url="http://v.example", static_url="", proxy=proxy)
        with pytest.raises(OperatorError, match=r"v\.example") as e:
            Transport(upstream)

        assert "upstream-setting" == e.value.reason
        assert "hush" not in str(e.value)

    def test_in_the_environment(self, monkeypatch):
        """
        So is one in the environment.
        """
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
        upstream = Upstream(url="http://v.example", static_url="")
        with pytest.raises(OperatorError, match=r"v\.example") as e:
            Transport(upstream)

        assert "upstream-setting" == e.value.reason


LINES = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 404 No"),
        *(b"HTTP/1.1 503 So", b"HTTP/1.1 302 So", b"HTTP/1.1 100 Go"),
        *(b"HTTP/1.1 101 Up", b"HTTP/1.1 204 No", b"HTTP/1.1 999 So"),
    ]
)
HEADERS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(b"content-length: 3", b"content-length: -1", b": x"),
                *(b"transfer-encoding: chunked", b"content-encoding: gzip"),
                *(b"retry-after: x", b"connection: close", b"connection: \xff"),
                *(b"location: //x", b"set-cookie: a=b; expires=x", b" fold"),
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=4,
)
BODIES = st.one_of(
    st.binary(max_size=40),
    st.lists(
        st.sampled_from([b"3\r\nabc\r\n", b"0\r\n", b"\r\n", b"-1\r\n", b";"]),
        max_size=5,
    ).map(b"".join),
)
ANSWERS = st.one_of(
    st.binary(max_size=100),
    st.builds(
        lambda line, headers, body: (
            b"\r\n".join([line, *headers]) + b"\r\n\r\n" + body
        ),
        LINES,
        HEADERS,
        BODIES,
    ),
)


class TestAnything:
    def test_one_error(self):
        """
        Whatever bytes come, they are an answer or one of our errors, with a
        reason that is documented.
        """
        with asyncio.Runner() as runner:
            runner.run(self.all_of_it(runner.get_loop()))

    async def all_of_it(self, loop):
        """
        Try one answer after the other, on one server and one transport.
        """
        answer = b""

        async def script(writer):
            writer.write(answer)
            await writer.drain()

        async with answering(script) as raw:
            transport = Transport(raw.upstream())

            @settings(max_examples=150)
            @given(ANSWERS)
            def check(data):
                nonlocal answer
                answer = data
                future = asyncio.run_coroutine_threadsafe(
                    self.reason(transport, raw), loop
                )
                assert future.result(10) in REASONS | {None}

            await asyncio.to_thread(check)
            await transport.close()

    async def reason(self, transport, raw):
        """
        Ask once and return why it failed, None if it did not.
        """
        try:
            got = await transport.get(Request(url=raw.url), freely)
        except UpstreamError as e:
            return e.reason
        assert isinstance(got, Response)
        return None
