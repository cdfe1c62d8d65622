import contextlib
import datetime
import os
import pwd
import sqlite3

import pytest

from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.clock import utc_now
from thim.services.tokens import TokenCheck
from thim.store.replica import Replica


DAY = datetime.timedelta(days=1)


@pytest.fixture
def token(thim, store):
    """
    Run ``thim token`` with the store.
    """
    return lambda *words: thim("token", *words, "--store", store)


@pytest.fixture
def create(token):
    """
    Run ``thim token create``.
    """
    return lambda *words: token(
        "create", "--name", "ci", "--role", "reader", *words
    )


def check(store, text, later=0 * DAY):
    """
    Return whose token that is, so much later.
    """
    with contextlib.closing(Replica(store)) as replica:
        known = TokenCheck(replica, store, VENDOR_ROOTS)
        return known.check(text.strip(), utc_now() + later)


def events(store):
    """
    Return what was decided, and by whom.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT actor, action, detail FROM events").fetchall()


class TestCreate:
    def test_once(self, create, store):
        """
        The token is written once, and nothing else; it counts for ever.
        """
        run = create()
        found = check(store, run.text, 9999 * DAY)

        assert (0, 1) == (run.code, run.text.count("\n"))
        assert ("ci", "reader") == (found.name, found.role.value)

    def test_expires(self, create, store):
        """
        Or until it expires.
        """
        text = create("--expires", "90d").text

        assert check(store, text, 89.9 * DAY)
        assert check(store, text, 90.1 * DAY) is None

    def test_event(self, create, store):
        """
        Who made it is written down, the secret nowhere.
        """
        run = create()
        ((actor, action, detail),) = events(store)

        me = pwd.getpwuid(os.getuid()).pw_name
        assert (True, "token-create") == (actor.startswith(me), action)
        assert "(ci), role reader, expires never" in detail
        secret = run.text.strip().partition(".")[2].encode()
        for path in store.parent.glob("thim.db*"):
            assert secret not in path.read_bytes()

    def test_file(self, create, store, tmp_path):
        """
        Into a file it is written for its owner alone.
        """
        path = tmp_path / "ci.token"
        run = create("--output", path)

        assert (0, b"") == (run.code, run.out)
        assert 0o600 == path.stat().st_mode & 0o777
        assert check(store, path.read_text())
        assert path.read_text().strip() not in run.err

    @pytest.mark.parametrize("name", ["there", "no/where"])
    def test_file_impossible(self, create, store, tmp_path, name):
        """
        What cannot be written is not made; what is there stays.
        """
        (tmp_path / "there").write_text("mine")
        run = create("--output", tmp_path / name)

        assert (2, []) == (run.code, events(store))
        assert "no token was made" in run.err
        assert "mine" == (tmp_path / "there").read_text()

    def test_file_without_token(self, create, tmp_path, monkeypatch):
        """
        A token that cannot be kept leaves no file.
        """
        monkeypatch.setattr("thim.store.tokens.MOST_LIVING", 0)
        run = create("--output", tmp_path / "ci.token")

        assert (2, False) == (run.code, (tmp_path / "ci.token").exists())

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--name", ""), "--name: got ''"),
            (("--role", "god"), "'god'"),
            (("--expires", "90"), "--expires: got '90', expected a duration"),
            (("--expires", "0s"), "expected a duration from 1m"),
        ],
    )
    def test_bad(self, create, store, options, words):
        """
        What cannot be used is named.
        """
        run = create(*options)

        assert (2, b"", []) == (run.code, run.out, events(store))
        assert words in run.err


class TestList:
    def test_json(self, create, token):
        """
        All of them are listed, with everything but what is secret.
        """
        texts = [create("--expires", "90d").text, create().text]
        token_id = texts[1].partition(".")[0]
        token("revoke", token_id)
        run = token("list", "--json")

        first, second = run.json
        assert {
            "id",
            "name",
            "role",
            "tenant",
            "state",
            "created",
            "created_by",
            "expires",
            "last_used",
            "revoked",
        } == set(first)
        assert ("living", "revoked") == (first["state"], second["state"])
        assert (token_id, None) == (second["id"], second["expires"])
        for text in texts:
            assert text.strip().partition(".")[2] not in run.text

    def test_table(self, create, token):
        """
        People get a table.
        """
        text = create().text
        lines = token("list").text.splitlines()

        assert lines[0].split()[:5] == [
            "id",
            "name",
            "role",
            "tenant",
            "state",
        ]
        assert lines[1].split()[:5] == [
            text.partition(".")[0],
            "ci",
            "reader",
            "-",
            "living",
        ]

    def test_empty(self, token):
        """
        At first there are none.
        """
        assert [] == token("list", "--json").json


class TestRevoke:
    def test_twice(self, create, token, store):
        """
        A token that was revoked, which is named, does not count any more; the
        second time changes nothing.
        """
        text = create().text
        token_id = text.partition(".")[0]
        runs = [token("revoke", token_id) for _ in range(2)]

        assert [
            f"Token {token_id} (ci) is revoked.\n",
            f"Token {token_id} (ci) is revoked already.\n",
        ] == [run.text for run in runs]
        assert check(store, text) is None
        assert ["token-create", "token-revoke"] == [e[1] for e in events(store)]

    def test_whole(self, create, token, store):
        """
        A whole token will do, and its secret is not repeated.
        """
        text = create().text
        token_id, _, secret = text.strip().partition(".")
        run, again = (
            token("revoke", text.strip()),
            token("revoke", f"0.{secret}"),
        )

        assert f"Token {token_id} (ci) is revoked.\n" == run.text
        assert check(store, text) is None
        assert secret not in run.text + run.err + again.text + again.err

    def test_unknown(self, token):
        """
        One that there is not is named.
        """
        run = token("revoke", "0123456789ab")

        assert (2, b"") == (run.code, run.out)
        assert "no token has the ID '0123456789ab'" in run.err

    def test_no_text(self, token):
        """
        What is no text is the ID of none.
        """
        run = token("revoke", "\udcff")

        assert (2, b"") == (run.code, run.out)
        assert "thim: no token has the ID" in run.err

    def test_help(self, token):
        """
        What is the ID in a token is said.
        """
        words = " ".join(token("revoke", "--help").text.split())

        assert "what stands before the dot" in words
