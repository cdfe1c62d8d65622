import socket

from collections.abc import Mapping

import pytest

from tests.agent.standin import Registry, StandIn, standing_in
from thim.agent.service import (
    Registration,
    ServiceError,
    read_retry_after,
)
from thim.errors import NotFoundError, UnauthenticatedError


class Saying(StandIn):
    """A service that answers always the same."""

    said: tuple[int, Mapping[str, str], bytes] = (200, {}, b"")

    def answer(self, asked):
        """
        Answer with that.
        """
        return self.said


@pytest.fixture
def saying(bench):
    """
    Make a client of a service that answers always the same.
    """
    app = Saying()
    with standing_in(app) as running:

        def make(status, headers=None, body=b""):
            app.said = (status, headers or {}, body)
            return bench.service(running.url)

        yield make


@pytest.fixture
def identity(bench):
    """
    A chip.
    """
    return bench.report().read()


class TestFetching:
    @pytest.mark.parametrize("body", [b"", b"hello", b"x" * 20_000])
    def test_no_certificates(self, bench, saying, identity, body):
        """
        An answer without three certificates is the service's fault.
        """
        with pytest.raises(ServiceError, match="certificate: PEM"):
            bench.runner.run(saying(200, body=body).fetch(identity))

    def test_none(self, bench, saying, identity):
        """
        A 404 means that there is none; the message has no whole ID.
        """
        with pytest.raises(NotFoundError) as caught:
            bench.runner.run(saying(404).fetch(identity))
        assert "there is none" in str(caught.value)
        assert identity.chip_id.hex()[:16] not in str(caught.value)

    @pytest.mark.parametrize("status", [400, 403, 429, 503])
    def test_retry_after(self, bench, saying, identity, status):
        """
        Another status may say when to come again.
        """
        headers = {"retry-after": "77", "thim-reason": "why"}
        with pytest.raises(ServiceError, match=rf"{status} \(why\)") as caught:
            bench.runner.run(saying(status, headers).fetch(identity))
        assert 77 == caught.value.retry_after

    def test_no_proxy(self, bench, saying, identity, monkeypatch):
        """
        What goes in the clear goes to no proxy, which could read the token.
        """
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        with pytest.raises(NotFoundError):
            bench.runner.run(saying(404).fetch(identity))

    def test_redirect(self, bench, saying, identity):
        """
        No redirect is followed.
        """
        headers = {"location": "http://127.0.0.1:9"}
        with pytest.raises(ServiceError, match="redirect"):
            bench.runner.run(saying(302, headers).fetch(identity))

    def test_silent(self, bench, identity):
        """
        A guest does not wait for a service that is silent.
        """
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            service = bench.service(url)
            with pytest.raises(ServiceError, match="in time"):
                bench.runner.run(
                    service.fetch_named(identity.chip_id, identity.tcb)
                )


class TestTokens:
    SAID = Registration(tcb="0" * 16, name="n", report=None)

    def test_no_token(self, bench, saying):
        """
        An answer without a token is the service's fault.
        """
        with pytest.raises(ServiceError, match="token"):
            bench.runner.run(saying(201, body=b"{}").enrol("once", "n"))

    @pytest.mark.parametrize("status", [200, 404, 409])
    def test_not_enrolled(self, bench, saying, status):
        """
        So is another status.
        """
        with pytest.raises(ServiceError, match=f"status {status}"):
            bench.runner.run(saying(status).enrol("once", "n"))

    @pytest.mark.parametrize(
        ("status", "body", "match"),
        [(200, b"{}", "state"), (404, b"", "status 404")],
    )
    def test_not_registered(self, bench, saying, identity, status, body, match):
        """
        The same goes for a registration.
        """
        (name,) = identity.names()
        service = saying(status, body=body)
        with pytest.raises(ServiceError, match=match):
            bench.runner.run(service.register(name, "a.b", self.SAID))

    def test_foreign_token(self, bench, identity):
        """
        A token that does not count is told apart.
        """
        (name,) = identity.names()
        with standing_in(Registry()) as registry:
            service = bench.service(registry.url)
            with pytest.raises(UnauthenticatedError, match="does not count"):
                bench.runner.run(service.register(name, "a.b", self.SAID))


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", None),
            ("0", 0),
            ("120", 120),
            ("99999", 3600),
            ("9" * 5000, 3600),
            ("-1", None),
            ("soon", None),
            ("²", None),
            ("Thu, 26 Nov 2026 05:00:51 GMT", None),
        ],
    )
    def test_seconds(self, text, expected):
        """
        Seconds are read, an hour at most; a date is not.
        """
        assert expected == read_retry_after({"retry-after": text})
