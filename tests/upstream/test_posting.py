import asyncio
import datetime
import itertools
import logging
import socket
import time

import pytest

from tests.upstream.raw import make_tls, say, say_for_ever, say_nothing
from tests.upstream.receiver import (
    LOOPBACK,
    SECRET,
    TAKEN,
    receiving,
    status,
)
from thim.upstream.posting import look_up, post
from thim.upstream.webhook import Outcome, Webhook


NOW = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
SHORT = datetime.timedelta(seconds=0.6)
BODY = b'{"type":"ping"}'


def answers(*texts):
    """
    Make a resolver that gives these addresses of every name.
    """

    async def resolve(_host, _port):
        return texts

    return resolve


def send(*scripts, resolve=look_up, host="127.0.0.1", tls=None, **changes):
    """
    Send to a receiver that answers by *scripts*; return what came of it, and
    the receiver.
    """

    async def scenario():
        async with receiving(*scripts, tls=tls) as got:
            posted = await post(
                got.hook(host, **changes),
                BODY,
                now=NOW,
                delivery_id="notice_1",
                resolve=resolve,
            )
            return posted, got

    return asyncio.run(scenario())


def outcome(*scripts, **changes):
    """
    The same, but only what came of it.
    """
    return send(*scripts, **changes)[0].outcome


class TestPost:
    def test_request(self):
        """
        What is posted is the body as JSON, with the path and query.
        """
        posted, got = send()
        (found,) = got.posts

        assert Outcome.DELIVERED is posted.outcome
        assert "status 200" == posted.detail
        assert "POST /take?token=t0ken HTTP/1.1" == found.line
        assert BODY == found.body
        assert "application/json" == found.headers["content-type"]
        assert f"127.0.0.1:{got.port}" == found.headers["host"]

    def test_signed(self):
        """
        It is signed, so that nobody else can have sent it, nor later.
        """
        _, got = send()
        (found,) = got.posts

        assert found.is_signed()
        assert not found.is_signed(b"another secret")
        assert "notice_1" == found.headers["webhook-id"]
        assert str(int(NOW.timestamp())) == found.headers["webhook-timestamp"]

    @pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
    def test_delivered(self, code):
        """
        Every 2xx means that it was taken.
        """
        assert Outcome.DELIVERED is outcome(status(code))

    def test_gone(self):
        """
        410 means that nobody is to try again.
        """
        assert Outcome.GONE is outcome(status(410))

    @pytest.mark.parametrize("code", [400, 401, 404, 429, 500, 502, 503])
    def test_failed(self, code):
        """
        Other statuses are failures that may pass.
        """
        posted, _ = send(status(code))

        assert (Outcome.FAILED, f"status {code}") == (
            posted.outcome,
            posted.detail,
        )


class TestHostile:
    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    def test_redirect(self, code):
        """
        A redirect is a failure and not followed, not even to itself.
        """
        posted, got = send(status(code, b"location: /take"), status(200))

        assert Outcome.FAILED is posted.outcome
        assert "a redirect, which is not followed" in posted.detail
        assert 1 == got.connections

    def test_endless_body(self):
        """
        Of an answer without end no more is read than a little.
        """
        sent: list[int] = []
        head = TAKEN.replace(b"content-length: 0", b"x: y")
        endless = say_for_ever(head, bytes(1 << 16), sent=sent)
        begun = time.monotonic()

        assert Outcome.DELIVERED is outcome(endless)
        assert sum(sent) < 16 << 20
        assert time.monotonic() - begun < 5

    def test_dripping_body(self):
        """
        A body that drips is not waited for: its status is known.
        """
        head = TAKEN.replace(b"content-length: 0", b"content-length: 4000")
        begun = time.monotonic()

        assert Outcome.DELIVERED is outcome(say_for_ever(head, b".", each=0.1))
        assert time.monotonic() - begun < 5

    def test_cut_body(self):
        """
        Nor does it matter that a body is cut off.
        """
        head = TAKEN.replace(b"content-length: 0", b"content-length: 4000")

        assert Outcome.DELIVERED is outcome(say(head))

    @pytest.mark.parametrize(
        "script",
        [
            say_nothing,
            say_for_ever(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", each=0.05),
            say_for_ever(b"", b"HTTP/1.1 103 x\r\n\r\n", each=0.05),
        ],
    )
    def test_slow(self, script):
        """
        Whoever does not come to an answer in time fails, however busy.
        """
        posted, _ = send(script, timeout=SHORT)

        assert (Outcome.FAILED, "no answer in 0.6 s") == (
            posted.outcome,
            posted.detail,
        )

    @pytest.mark.parametrize(
        "said",
        [b"", b"HTTP/1.1 200", b"SSH-2.0-x\r\n\r\n", b"\x00" * 200],
    )
    def test_closes(self, said):
        """
        A connection that is closed, or is not HTTP, is a failure.
        """
        posted, _ = send(say(said))

        assert Outcome.FAILED is posted.outcome
        assert "cut off (RemoteProtocolError)" == posted.detail

    def test_huge_head(self):
        """
        A head without end is one too.
        """
        endless = say_for_ever(b"HTTP/1.1 200 OK\r\n", b"a: " + b"b" * 9999)

        assert Outcome.FAILED is outcome(endless)

    def test_nobody(self):
        """
        Where nobody listens it fails at once.
        """
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        hook = Webhook(
            name="x",
            url=f"https://127.0.0.1:{port}/t0ken",
            secret=SECRET,
            networks=LOOPBACK,
        )
        posted = asyncio.run(post(hook, BODY, now=NOW, delivery_id="1"))

        assert Outcome.FAILED is posted.outcome
        assert posted.detail.startswith("not reachable (")
        assert "t0ken" not in posted.detail


class TestPlaces:
    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1"),
            *("::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"),
            *("fe80::1%lo", "0.0.0.1", "224.0.0.1"),
        ],
    )
    def test_private(self, address):
        """
        A name that leads inside leads nowhere, unless that is listed.
        """
        posted, got = send(
            resolve=answers(address), host="evil.example", networks=()
        )

        assert Outcome.FAILED is posted.outcome
        assert "`allow`" in posted.detail
        assert 0 == got.connections

    @pytest.mark.parametrize(
        "addresses",
        [("127.0.0.1", "10.0.0.1"), ("10.0.0.1", "127.0.0.1")],
    )
    def test_every_address(self, addresses):
        """
        One address that is not allowed is enough to go to none of them.
        """
        posted, got = send(resolve=answers(*addresses), host="evil.example")

        assert "10.0.0.1" in posted.detail
        assert 0 == got.connections

    def test_rebinding(self):
        """
        A name is looked up once: what it means a moment later counts not.
        """
        turns = itertools.count()

        async def resolve(_host, _port):
            return ("127.0.0.1",) if next(turns) == 0 else ("127.0.0.2",)

        posted, got = send(resolve=resolve, host="rebinding.example")

        assert Outcome.DELIVERED is posted.outcome
        assert (1, 1) == (next(turns), got.connections)
        assert f"rebinding.example:{got.port}" == got.posts[0].headers["host"]

    def test_plain_public(self):
        """
        Plain HTTP goes to listed networks only: a public address is none.
        """
        posted, _ = send(resolve=answers("8.8.8.8"), host="public.example")

        assert Outcome.FAILED is posted.outcome
        assert "8.8.8.8: plain HTTP, and not in `allow`" in posted.detail

    def test_next_address(self):
        """
        Where nobody listens at the first of several addresses the next is
        tried.
        """
        posted, got = send(
            resolve=answers("127.0.0.2", "127.0.0.1"), host="two.example"
        )

        assert Outcome.DELIVERED is posted.outcome
        assert 1 == got.connections

    @pytest.mark.parametrize(
        ("resolve", "detail"),
        [
            (answers(), "no.example has no address"),
            (answers("x"), "it cannot be sent (ValueError)"),
        ],
    )
    def test_no_address(self, resolve, detail):
        """
        A name without an address, or with nonsense for one, is a failure.
        """
        posted, _ = send(resolve=resolve, host="no.example")

        assert (Outcome.FAILED, detail) == (posted.outcome, posted.detail)

    def test_unknown_name(self):
        """
        A name that the system does not know is a failure.
        """
        posted, _ = send(host="no.invalid")

        assert Outcome.FAILED is posted.outcome
        assert "no.invalid has no address (" in posted.detail

    def test_slow_resolver(self):
        """
        Looking a name up counts among the time that there is.
        """

        async def resolve(_host, _port):
            await asyncio.sleep(60)

        assert Outcome.FAILED is outcome(
            resolve=resolve, host="slow.example", timeout=SHORT
        )

    def test_odd_number(self):
        """
        A number that a resolver makes an address of is checked like one.
        """
        posted, got = send(host="2130706433", networks=())

        assert Outcome.FAILED is posted.outcome
        assert 0 == got.connections

    def test_no_proxy(self, monkeypatch):
        """
        A proxy of the environment is not asked.
        """
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")

        assert Outcome.DELIVERED is outcome()


class TestTls:
    def test_name(self, tmp_path):
        """
        The certificate must be for the name, wherever the name leads.
        """
        context, chain = make_tls(tmp_path, "hook.example")
        posted, got = send(
            tls=context,
            ca_file=chain,
            host="hook.example",
            resolve=answers("127.0.0.1"),
        )

        assert Outcome.DELIVERED is posted.outcome
        assert got.posts[0].is_signed()

    def test_sni(self, tmp_path):
        """
        The name is told to the server, which may have many.
        """
        context, chain = make_tls(tmp_path, "hook.example")
        names = []
        context.sni_callback = lambda _socket, name, _context: names.append(
            name
        )
        send(
            tls=context,
            ca_file=chain,
            host="hook.example",
            resolve=answers("127.0.0.1"),
        )

        assert ["hook.example"] == names

    def test_address(self, tmp_path):
        """
        One that is for an address is good for that address.
        """
        context, chain = make_tls(tmp_path)

        assert Outcome.DELIVERED is outcome(tls=context, ca_file=chain)

    def test_other_name(self, tmp_path):
        """
        One for another name is a failure, and nothing is sent.
        """
        context, chain = make_tls(tmp_path, "other.example")
        posted, got = send(
            tls=context,
            ca_file=chain,
            host="hook.example",
            resolve=answers("127.0.0.1"),
        )

        assert Outcome.FAILED is posted.outcome
        assert "certificate" in posted.detail
        assert [] == got.posts

    def test_unknown_authority(self, tmp_path):
        """
        Without its CA file the system's roots must do, and they do not.
        """
        context, _ = make_tls(tmp_path)

        assert Outcome.FAILED is outcome(tls=context)

    def test_bad_ca_file(self, tmp_path):
        """
        A CA file without certificates is a failure that says so.
        """
        path = tmp_path / "ca.pem"
        path.write_text("x")
        posted, _ = send(tls=make_tls(tmp_path)[0], ca_file=path)

        assert f"ca_file {path}: expected certificates" in posted.detail


class TestSecrecy:
    @pytest.mark.parametrize(
        "script", [status(200), status(302), say(b""), say(b"x\r\n\r\n")]
    )
    def test_log(self, script, caplog):
        """
        What is said of it has neither the path nor the secret.
        """
        with caplog.at_level(logging.WARNING):
            posted, _ = send(script)

        said = f"{posted} {caplog.text}"
        assert "t0ken" not in said
        assert SECRET.decode() not in said
