import contextlib
import datetime
import time

import pytest

from tests.new_store import new_store
from tests.services.issuer import IssuersKey, issuing
from tests.services.made import INTEL
from tests.serving import serving
from thim.services.clock import utc_now
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


WHOAMI = "/admin/v1/whoami"
TENANTS = "/admin/v1/tenants"
TWO = IssuersKey.rsa("two")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """
    A store.
    """
    path = tmp_path_factory.mktemp("openid") / "thim.db"
    new_store(path, INTEL.anchors)
    return path


@pytest.fixture(scope="module")
def ours(store):
    """
    A token of our own.
    """
    text, kept = make_token(
        "mine", Role.READER, actor="root", now=utc_now(), expires=None
    )
    with Ledger(store, INTEL.anchors) as ledger:
        ledger.tokens.add(kept)
    return text


@pytest.fixture(scope="module")
def issuer():
    """
    A running issuer, asked without a proxy.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        with issuing() as running:
            yield running


@pytest.fixture(scope="module")
def served(store, ours, issuer):
    """
    The service, which has the issuer's keys at hand.
    """
    settings = issuer.settings(tenant_claim=("org",))
    with serving(store, anchors=INTEL.anchors, openid=settings) as running:
        token = sign(issuer)
        while ask(running, token).status == 503:
            time.sleep(0.01)
        yield running


def sign(issuer, key=None, **claims):
    """
    Make a token that is good now.
    """
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    good = {"iat": now, "nbf": now, "exp": now + 600, "org": "acme"}
    if key is not None:
        return key.sign({**good, "iss": issuer.url, **claims})
    return issuer.sign(**{**good, **claims})


def ask(served, token, path=WHOAMI, header="Authorization"):
    """
    Ask with a token.
    """
    shown = f"Bearer {token}" if header == "Authorization" else token
    return served.get(path, {header: shown})


class TestBearers:
    def test_known(self, served, issuer):
        """
        A bearer is told whom we take it for.
        """
        got = ask(served, sign(issuer))

        assert 200 == got.status
        assert {
            "id": "openid:ada@example",
            "name": "ada@example",
            "role": "reader",
            "tenant": "acme",
        } == {k: v for k, v in got.json.items() if k != "expires"}

    def test_ours(self, served, ours):
        """
        Our own tokens count as before.
        """
        assert "mine" == ask(served, ours).json["name"]

    def test_role(self, served, issuer):
        """
        The role decides what a bearer may do.
        """
        token = sign(issuer, roles=["boss"])

        assert "admin" == ask(served, token).json["role"]

    def test_tenant(self, served, issuer):
        """
        A tenant's bearer is nobody outside it.
        """
        got = ask(served, sign(issuer, roles=["boss"]), TENANTS)

        assert (403, "tenant") == (got.status, got.json["reason"])
        assert "openid ada@example" in got.json["detail"]

    def test_pccs_header(self, served, issuer):
        """
        In a header of PCCS's its role counts as that of our own.
        """
        token = sign(issuer)

        assert 401 == ask(served, token, header="admin-token").status
        token = sign(issuer, roles=["boss"])
        assert 200 == ask(served, token, header="admin-token").status


class TestRefused:
    @pytest.mark.parametrize(
        "claims",
        [{"aud": "x"}, {"exp": 1}, {"org": None}, {"roles": []}, {"sub": ""}],
    )
    def test_refused(self, served, issuer, claims):
        """
        What does not count is a 401, which does not say why.
        """
        got = ask(served, sign(issuer, **claims))

        assert (401, "token-refused") == (got.status, got.json["reason"])
        assert "aud" not in got.json["detail"]

    def test_forged(self, served, issuer):
        """
        A token by another key is a 401, and after ten a 429: for that token
        only.
        """
        forged = sign(issuer, TWO, kid="one")
        statuses = [ask(served, forged).status for _ in range(11)]

        assert [401] * 10 + [429] == statuses
        assert 200 == ask(served, sign(issuer)).status

    @pytest.mark.parametrize("token", ["a.b.c", "..", "e30.e30.", "é.b.c"])
    def test_garbage(self, served, token):
        """
        What only looks like a JWT is a 401.
        """
        assert 401 == ask(served, token.encode().decode("latin-1")).status


class TestAway:
    def test_issuer_down(self, store, ours):
        """
        While the issuer is away its tokens are a 503; nothing else waits.
        """
        with contextlib.ExitStack() as stack:
            issuer = stack.enter_context(issuing())
            issuer.is_down = True
            settings = issuer.settings()
            served = stack.enter_context(
                serving(store, anchors=INTEL.anchors, openid=settings)
            )

            got = ask(served, sign(issuer))

            assert (503, "openid-keys") == (got.status, got["thim-reason"])
            assert "retry-after" in got
            assert 200 == ask(served, ours).status

    def test_not_set_up(self, store, issuer, ours):
        """
        Without an issuer a JWT is a token like any other: unknown.
        """
        with serving(store, anchors=INTEL.anchors) as served:
            assert 401 == ask(served, sign(issuer)).status
            assert 200 == ask(served, ours).status
