import asyncio
import logging

import pytest

from tests.client.fake import Said
from tests.services.issuer import (
    DOCUMENT,
    KEYS,
    NOW,
    IssuersKey,
    issuing,
    make_claims,
)
from thim.errors import UnavailableError, UntrustedError
from thim.services.openid import OpenIdDesk


ONE = IssuersKey.rsa("one")
TWO = IssuersKey.rsa("two")
HOUR = 3600.0


@pytest.fixture
def issuer(monkeypatch):
    """
    A running issuer, and no proxy before it.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with issuing(ONE) as running:
        yield running


class Desk:
    """
    A desk whose keys get old when a test says so.
    """

    def __init__(self, runner, settings):
        self.age = 0.0
        self.runner = runner
        self.desk = OpenIdDesk(settings, lambda: self.age)

    def fetch(self):
        """
        Ask for the keys.
        """
        self.runner.run(self.desk.fetch())

    def check(self, token):
        """
        Check a token.
        """
        return self.desk.check(token, NOW)

    def reason(self, token):
        """
        Return why a token cannot be checked now.
        """
        with pytest.raises(UnavailableError) as caught:
            self.check(token)
        return caught.value.reason


@pytest.fixture
def make_desk():
    """
    Make a desk by its settings.
    """
    made: list[Desk] = []

    def make(settings):
        made.append(Desk(runner, settings))
        return made[-1]

    with asyncio.Runner() as runner:
        yield make
        for each in made:
            if each.desk._wire is not None:
                runner.run(each.desk._wire.close())


class TestKeys:
    def test_at_hand(self, make_desk, issuer):
        """
        With the issuer's keys a bearer is known.
        """
        desk = make_desk(issuer.settings())
        assert "openid-keys" == desk.reason(issuer.sign())

        desk.fetch()

        assert "ada@example" == desk.check(issuer.sign()).name
        assert [DOCUMENT, KEYS] == issuer.fake.asked

    def test_garbage(self, make_desk, issuer):
        """
        What could not count in any case needs no keys to be refused.
        """
        desk = make_desk(issuer.settings())

        with pytest.raises(UntrustedError):
            desk.check(issuer.sign(aud="other"))

    def test_slash(self, make_desk, issuer):
        """
        An issuer may end in a slash; its document is where OpenID has it.
        """
        url = f"{issuer.url}/"
        issuer.document = {"issuer": url}
        desk = make_desk(issuer.settings(issuer=url))

        desk.fetch()

        assert desk.check(issuer.sign(iss=url))

    def test_rotated(self, make_desk, issuer):
        """
        A key that is not known may be new, unless the keys are.
        """
        desk = make_desk(issuer.settings())
        desk.fetch()
        token = TWO.sign(make_claims(iss=issuer.url))
        with pytest.raises(UntrustedError):
            desk.check(token)

        desk.age = 60.0
        assert "openid-keys" == desk.reason(token)
        issuer.keys.append(TWO)
        desk.fetch()

        assert desk.check(token)
        assert desk.check(issuer.sign())

    def test_withdrawn(self, make_desk, issuer):
        """
        A key that the issuer has withdrawn counts no more.
        """
        desk = make_desk(issuer.settings())
        desk.fetch()
        token = issuer.sign()
        issuer.keys[:] = [TWO]

        desk.fetch()

        with pytest.raises(UntrustedError):
            desk.check(token)

    def test_down(self, make_desk, issuer, caplog):
        """
        An issuer that is away takes nothing back for a day; that it is, is
        said once.
        """
        caplog.set_level(logging.WARNING)
        desk = make_desk(issuer.settings())
        desk.fetch()
        issuer.is_down = True
        for _ in range(3):
            desk.fetch()

        desk.age = 24 * HOUR - 1
        assert desk.check(issuer.sign())
        desk.age = 24 * HOUR
        assert "openid-keys" == desk.reason(issuer.sign())
        ours = [r for r in caplog.records if r.name == "thim.openid"]
        assert 1 == len(ours)
        assert "status 500" in ours[0].getMessage()

    @pytest.mark.parametrize(
        ("document", "words"),
        [
            ({"issuer": "https://evil.example"}, "of the issuer"),
            ({"jwks_uri": "https://evil.example/keys"}, "another place"),
            ({"jwks_uri": "http://127.0.0.1:1/keys"}, "another place"),
            ({"jwks_uri": "http://evil.example/keys"}, "another place"),
            ({"jwks_uri": "file:///etc/passwd"}, "another place"),
            ({"jwks_uri": None}, "another place"),
            ({"more": "x" * (1 << 18)}, "more than"),
        ],
    )
    def test_elsewhere(self, make_desk, issuer, caplog, document, words):
        """
        Keys are taken from nowhere else than the issuer.
        """
        issuer.document = document
        desk = make_desk(issuer.settings())

        desk.fetch()

        assert [DOCUMENT] == issuer.fake.asked
        assert words in caplog.text
        assert "openid-keys" == desk.reason(issuer.sign())

    def test_listed(self, make_desk, issuer):
        """
        Unless the configuration says where else they may be.
        """
        with issuing(ONE) as other:
            issuer.document = {"jwks_uri": other.url + KEYS}
            desk = make_desk(issuer.settings(key_origins=(other.url,)))

            desk.fetch()

            assert [KEYS] == other.fake.asked
        assert desk.check(issuer.sign())

    @pytest.mark.parametrize(
        "said",
        [
            Said(status=302, headers={"location": "/keys"}),
            Said(body=b"{"),
            Said(body=b'{"issuer": "a", "issuer": "b"}'),
        ],
    )
    def test_unreadable(self, make_desk, issuer, said, caplog):
        """
        What cannot be read, and a redirect, is no answer.
        """
        issuer.fake.script = lambda _: said
        desk = make_desk(issuer.settings())

        desk.fetch()

        assert "no keys of" in caplog.text

    def test_defect(self, make_desk, issuer, caplog):
        """
        Even a defect of ours does not end it; it is in the log.
        """
        desk = make_desk(issuer.settings())
        desk.desk._wire = None

        desk.fetch()

        assert "Traceback" in caplog.text


class TestFollowing:
    def test_background(self, issuer):
        """
        Keys are fetched in the background, and that ends when it is ended.
        """

        async def scenario():
            desk = OpenIdDesk(issuer.settings())
            task = asyncio.create_task(desk.follow())
            for _ in range(500):
                await asyncio.sleep(0.01)
                try:
                    found = desk.check(issuer.sign(), NOW)
                    break
                except UnavailableError:
                    continue
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return found, task.cancelled()

        found, is_ended = asyncio.run(scenario())

        assert ("ada@example", True) == (found.name, is_ended)
