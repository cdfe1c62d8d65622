import contextlib
import datetime
import sqlite3

import pytest

from thim.cli.actor import os_user
from thim.services.clock import utc_now


DAY = datetime.timedelta(days=1)


@pytest.fixture
def signing(thim, store):
    """
    Run ``thim signing`` with the store.
    """
    return lambda *words: thim("signing", *words, "--store", store)


@pytest.fixture
def states(signing):
    """
    Return how all keys stand, the first to sign first.
    """
    return lambda: [key["state"] for key in signing("list", "--json").json]


def events(store):
    """
    Return what was decided, and by whom.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT actor, action FROM events").fetchall()


def instant(text):
    """
    Read an instant.
    """
    return datetime.datetime.fromisoformat(text)


class TestList:
    def test_empty(self, signing):
        """
        At first there are none.
        """
        assert [] == signing("list", "--json").json

    def test_table(self, signing):
        """
        People get a table, in which a key is named as tokens name it.
        """
        kid = signing("rotate", "--json").json["kid"]
        lines = signing("list").text.splitlines()

        assert ["kid", "state", "active", "from"] == lines[0].split()[:4]
        assert [kid, "signing"] == lines[1].split()[:2]

    def test_json(self, signing):
        """
        Machines get all that is known of it.
        """
        signing("rotate")
        (found,) = signing("list", "--json").json

        assert {
            "kid",
            "state",
            "created",
            "created_by",
            "active_from",
            "evidence",
            "revoked",
        } == set(found)
        assert (os_user(), None, None) == (
            found["created_by"],
            found["evidence"],
            found["revoked"],
        )


class TestRotate:
    def test_first(self, signing, states):
        """
        Where no key signs the first one does at once.
        """
        run = signing("rotate")

        assert 0 == run.code
        assert run.text.startswith("The key ")
        assert ["signing"] == states()

    def test_next(self, signing, states):
        """
        The next one signs after a day.
        """
        signing("rotate")
        made = signing("rotate", "--json").json

        assert made["is_new"]
        assert ["signing", "coming"] == states()
        ahead = instant(made["active_from"]) - utc_now()
        assert DAY - datetime.timedelta(minutes=1) < ahead < DAY

    def test_already(self, signing, states):
        """
        Where one is to come by then, no other is made.
        """
        signing("rotate")
        first = signing("rotate", "--json").json
        again = signing("rotate", "--json").json

        assert (first["kid"], False) == (again["kid"], again["is_new"])
        assert "on already." in signing("rotate").text
        assert ["signing", "coming"] == states()

    def test_lead(self, signing, states):
        """
        It may be sooner.
        """
        signing("rotate")
        signing("rotate")
        run = signing("rotate", "--lead", "0s")

        assert 0 == run.code
        assert ["kept", "signing", "coming"] == states()

    @pytest.mark.parametrize("lead", ["-1h", "91d", "1", "soon"])
    def test_bad_lead(self, signing, lead):
        """
        What is no such duration is refused, and nothing is made.
        """
        run = signing("rotate", f"--lead={lead}")

        assert 2 == run.code
        assert "--lead" in run.err
        assert [] == signing("list", "--json").json

    def test_event(self, signing, store):
        """
        It is written down who has made it.
        """
        signing("rotate")

        assert [(os_user(), "signing-key-create")] == events(store)

    def test_key_file(self, signing, store):
        """
        It is sealed with the key beside the store.
        """
        signing("rotate")

        assert store.with_name("thim.key").is_file()


class TestRevoke:
    def test_replaced(self, signing, states, store):
        """
        The key that signs is replaced at once.
        """
        kid = signing("rotate", "--json").json["kid"]
        run = signing("revoke", kid)
        first, second = run.text.splitlines()

        assert f"The key {kid} is revoked." == first
        assert second.endswith(" signs from now on.")
        assert ["revoked", "signing"] == states()
        assert [
            "signing-key-create",
            "signing-key-revoke",
            "signing-key-create",
        ] == [action for _, action in events(store)]

    def test_coming(self, signing, states):
        """
        One that was to come is not.
        """
        signing("rotate")
        kid = signing("rotate", "--json").json["kid"]

        assert f"The key {kid} is revoked.\n" == signing("revoke", kid).text
        assert ["signing", "revoked"] == states()

    def test_json(self, signing):
        """
        A program is told which key takes its place.
        """
        kid = signing("rotate", "--json").json["kid"]
        first = signing("revoke", kid, "--json").json
        again = signing("revoke", kid, "--json").json

        assert (kid, True) == (first["kid"], first["is_new"])
        assert kid != first["successor"]
        assert {"kid": kid, "is_new": False, "successor": None} == again

    def test_twice(self, signing, states):
        """
        The second time changes nothing.
        """
        kid = signing("rotate", "--json").json["kid"]
        signing("revoke", kid)

        assert f"The key {kid} is revoked already.\n" == (
            signing("revoke", kid).text
        )
        assert ["revoked", "signing"] == states()

    def test_unknown(self, signing):
        """
        One that there is not is named.
        """
        run = signing("revoke", "none")

        assert (2, b"") == (run.code, run.out)
        assert "no signing key is 'none'" in run.err

    def test_key_lost(self, signing, store, states):
        """
        A key is revoked also where no other can be made; that is an error.
        """
        kid = signing("rotate", "--json").json["kid"]
        store.with_name("thim.key").unlink()
        run = signing("revoke", kid)

        assert (2, f"The key {kid} is revoked.\n") == (run.code, run.text)
        assert "there is no such file" in run.err
        assert ["revoked"] == states()
