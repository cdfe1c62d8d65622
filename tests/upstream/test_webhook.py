import base64
import datetime
import ipaddress
import re

import pytest

from tests.conftest import PROJECT
from thim.upstream.webhook import Webhook, sign


NOW = datetime.datetime(2021, 2, 25, 14, 55, 30, tzinfo=datetime.UTC)
HOOK = Webhook(name="ops", url="https://a.example/s3cret", secret=b"s3cret")


class TestSign:
    def test_vector(self):
        """
        A signature is that of the specification's own example.
        """
        assert {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ"
            "1OE=",
        } == sign(
            base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            datetime.datetime.fromtimestamp(1614265330, datetime.UTC),
            b'{"test": 2432232314}',
        )

    @pytest.mark.parametrize(
        "changed",
        [
            (b"other", "id", NOW, b"body"),
            (b"key", "other", NOW, b"body"),
            (b"key", "id", NOW + datetime.timedelta(seconds=1), b"body"),
            (b"key", "id", NOW, b"other"),
        ],
    )
    def test_covers(self, changed):
        """
        It covers the ID, the instant and the body.
        """
        first = sign(b"key", "id", NOW, b"body")["webhook-signature"]

        assert first != sign(*changed)["webhook-signature"]


class TestWebhook:
    def test_no_secrets(self):
        """
        Neither its secret nor what is behind its host is ever shown.
        """
        assert "s3cret" not in f"{HOOK!r} {HOOK} {HOOK.address}"

    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("https://a.example/x", "https://a.example:443"),
            ("http://A.example?y", "http://a.example:80"),
            ("https://[fd00::1]:8443", "https://[fd00::1]:8443"),
        ],
    )
    def test_address(self, url, address):
        """
        Its address is scheme, host and port.
        """
        hook = Webhook(
            name="ops",
            url=url,
            secret=b"",
            networks=(ipaddress.ip_network("fd00::/8"),),
        )

        assert (address, f"ops {address}") == (hook.address, str(hook))


class TestDocumentation:
    """
    The receiver in ``docs/operating.md``.
    """

    KEY = bytes(range(32))
    SECRET = f"whsec_{base64.b64encode(KEY).decode()}"

    @pytest.fixture
    def verify(self):
        """
        Return the function that is printed there.
        """
        text = (PROJECT / "docs" / "operating.md").read_text()
        (code,) = re.findall(
            r"```python\n(import base64.*?)```", text, re.DOTALL
        )
        names: dict[str, object] = {}
        exec(code, names)  # noqa: S102 - our own documentation
        return names["verify"]

    def headers(self, now, key=KEY):
        """
        Return the headers of a body of ours.
        """
        return dict(sign(key, "notice_1", now, b'{"a": 1}'))

    def test_taken(self, verify):
        """
        It takes what was signed just now.
        """
        now = datetime.datetime.now(datetime.UTC)

        assert {"a": 1} == verify(self.headers(now), b'{"a": 1}', self.SECRET)

    @pytest.mark.parametrize(
        ("key", "age", "body", "said"),
        [
            (b"other", 0, b'{"a": 1}', "not signed"),
            (KEY, 0, b'{"a": 2}', "not signed"),
            (KEY, 400, b'{"a": 1}', "too long ago"),
        ],
    )
    def test_refused(self, verify, key, age, body, said):
        """
        It refuses another's, what was changed, and what is old.
        """
        now = datetime.datetime.now(datetime.UTC)
        headers = self.headers(now - datetime.timedelta(seconds=age), key)

        with pytest.raises(ValueError, match=said):
            verify(headers, body, self.SECRET)
