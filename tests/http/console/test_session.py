"""
What is in a session's cookie, and which cookies are none.
"""

import base64
import contextlib
import datetime

import pytest

from tests.http.administration import administered
from tests.http.console.visitor import Visitor
from tests.platforms import NOW
from thim.http.console.session import begin_session
from thim.services.secrets import accept_loss, open_sealer
from thim.services.tokens import Principal, Role
from thim.store.ledger import Ledger
from thim.store.replica import Replica


HOUR = datetime.timedelta(hours=1)
#: Whose token is not kept here, so that all that is known of it is in there.
STRANGER = Principal(
    id="https://id.example#1",
    name="jo",
    role=Role.OPERATOR,
    expires=NOW + HOUR,
    tenant="acme",
    issuer="https://id.example",
)


def seal(console, folder, context, plain):
    """
    Seal *plain* with the key of a store's secrets, for some *context*; return
    it as a cookie.
    """
    with contextlib.closing(Replica(console.store)) as replica:
        sealer = open_sealer(replica, folder / "key")
    sealed = base64.urlsafe_b64encode(sealer.seal(plain, context)).decode()
    return f"thim-console-{sealer.key_id}={sealed}"


@pytest.fixture
def plain(console, tmp_path, reader):
    """
    What is sealed in the cookie of somebody who is logged in.
    """
    value = reader.cookie.partition("=")[2]
    with contextlib.closing(Replica(console.store)) as replica:
        sealer = open_sealer(replica, tmp_path / "key")
        return sealer.open(
            base64.urlsafe_b64decode(value), b"thim console session"
        )


class TestBegun:
    def test_principal(self):
        """
        A session is whose token was shown, with the rights of that token: of
        an OpenID issuer's nothing else is known later.
        """
        assert STRANGER == begin_session(STRANGER, NOW).principal

    @pytest.mark.parametrize(
        ("hours", "expected"), [(1, 1), (11, 11), (13, 12), (None, 12)]
    )
    def test_end(self, hours, expected):
        """
        It ends after twelve hours, or before that with the token.
        """
        expires = None if hours is None else NOW + hours * HOUR
        token = Principal(id="1", name="a", role=Role.READER, expires=expires)

        assert NOW + expected * HOUR == begin_session(token, NOW).until

    def test_certificate(self):
        """
        The client's certificate is the connection's, and not of the session.
        """
        shown = Principal(
            id="1", name="a", role=Role.READER, expires=None, certificate="c"
        )

        assert begin_session(shown, NOW).principal.certificate is None


class TestOpened:
    @pytest.mark.parametrize(
        ("context", "status"),
        [(b"thim console session", 200), (b"platform manifest", 303)],
    )
    def test_context(self, console, tmp_path, plain, visitor, context, status):
        """
        What was sealed with the same key for something else is no session.
        """
        visitor.cookie = seal(console, tmp_path, context, plain)

        assert status == visitor.get("/console/").status

    @pytest.mark.parametrize("content", [b"{}", b"[]", b"\xff", b""])
    def test_other_release(self, console, tmp_path, reader, content):
        """
        A session that another release has written, with other members, is
        asked to log in.
        """
        reader.cookie = seal(
            console, tmp_path, b"thim console session", content
        )

        assert 303 == reader.get("/console/").status

    def test_inserted(self, reader):
        """
        A cookie with something in between is none, be it without meaning.
        """
        name, _, value = reader.cookie.partition("=")
        reader.cookie = f"{name}={value[:8]}*{value[8:]}"

        assert 303 == reader.get("/console/").status

    def test_nothing_sealed(self, visitor):
        """
        Where nothing was ever sealed there is no session yet.
        """
        visitor.cookie = f"thim-console-key={'A' * 400}"

        assert 303 == visitor.get("/console/").status


class TestNoKey:
    def test_log_in(self, intel, tmp_path):
        """
        Without a key file nobody logs in, and is told why.
        """
        with administered(intel, tmp_path, key_file=None) as running:
            got = Visitor(running.served).log_in(running.tokens["admin"])

        assert (503, "no-key") == (got.status, got["thim-reason"])

    def test_other_key(self, reader, tmp_path):
        """
        With another store's key file nobody is let in, and the page says why.
        """
        (tmp_path / "key").write_bytes(b"\0" * 32)
        got = reader.get("/console/")

        assert (503, "key-lost") == (got.status, got["thim-reason"])

    def test_lost_key(self, intel, console, reader, visitor, tmp_path):
        """
        Once the key's loss is accepted people log in again, with a key that is
        new; sessions of the old one are over.
        """
        assert 200 == reader.get("/console/").status
        key = tmp_path / "key"
        key.unlink()
        with Ledger(console.store, intel.anchors) as ledger:
            accept_loss(ledger, key, actor="root", now=NOW)
        before = reader.get("/console/").status
        visitor.log_in(console.tokens["reader"])

        assert (303, 200, 303) == (
            before,
            visitor.get("/console/").status,
            reader.get("/console/").status,
        )
