import contextlib
import dataclasses
import datetime
import sqlite3

import pytest

from thim.errors import NotFoundError, OperatorError, UnavailableError
from thim.store import tokens
from thim.store.token_view import StoredToken, TokenView


NOW = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
TOKEN = StoredToken(
    id="0123456789ab",
    name="ci",
    role="reader",
    sha256=bytes(32),
    created=NOW,
    created_by="root",
    expires=NOW + HOUR,
    last_used=None,
    revoked=None,
)


def events(store):
    """
    Return what was decided, and by whom.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT actor, action, detail FROM events").fetchall()


class TestAdd:
    @pytest.mark.parametrize("expires", [NOW + HOUR, None])
    def test_kept(self, ledger, replica, expires):
        """
        What was kept is read back, by its ID or among all of them.
        """
        token = dataclasses.replace(TOKEN, expires=expires)
        ledger.tokens.add(token)
        view = TokenView(replica)

        assert (token, [token]) == (view.find(token.id), view.all())
        assert view.find("ffffffffffff") is None

    def test_event(self, ledger, store):
        """
        Who made it is written down, without the digest.
        """
        ledger.tokens.add(TOKEN)
        ledger.tokens.add(
            dataclasses.replace(TOKEN, id="0123456789ac", expires=None)
        )

        begin = "token 0123456789ab (ci), role reader"
        assert [
            (
                "root",
                "token-create",
                f"{begin}, expires 2026-11-02T01:00:00Z",
            ),
            (
                "root",
                "token-create",
                "token 0123456789ac (ci), role reader, expires never",
            ),
        ] == events(store)

    def test_too_many(self, ledger, monkeypatch, store):
        """
        There may be so many living ones, and any number of others.
        """
        monkeypatch.setattr(tokens, "MOST_LIVING", 2)
        for i in range(2):
            ledger.tokens.add(dataclasses.replace(TOKEN, id=f"{i}"))
        with pytest.raises(OperatorError, match="2 living tokens"):
            ledger.tokens.add(dataclasses.replace(TOKEN, id="2"))
        ledger.tokens.revoke("0", actor="root", now=NOW)
        ledger.tokens.add(dataclasses.replace(TOKEN, id="3", expires=None))
        later = dataclasses.replace(TOKEN, created=NOW + 2 * HOUR, id="4")
        ledger.tokens.add(later)

        assert 5 == len(events(store))


class TestRevoke:
    def test_once(self, ledger, replica, store):
        """
        It stays listed as revoked since then; the second time changes
        nothing.
        """
        ledger.tokens.add(TOKEN)
        again = [
            ledger.tokens.revoke(TOKEN.id, actor="root", now=NOW + i * HOUR)
            for i in range(2)
        ]
        (found,) = TokenView(replica).all()

        assert ([True, False], NOW) == (again, found.revoked)
        assert (
            "root",
            "token-revoke",
            "token 0123456789ab (ci), role reader",
        ) == (events(store)[-1])
        assert 2 == len(events(store))

    def test_unknown(self, ledger):
        """
        One that there is not is named.
        """
        with pytest.raises(NotFoundError, match="no token has the ID 'x'"):
            ledger.tokens.revoke("x", actor="root", now=NOW)


class TestUses:
    def test_last(self, ledger, replica):
        """
        The last use counts, in whatever order workers report it.
        """
        ledger.tokens.add(TOKEN)
        for used in (NOW + HOUR, NOW):
            ledger.tokens.note_uses({TOKEN.id: used, "unknown": used})
        (found,) = TokenView(replica).all()

        assert NOW + HOUR == found.last_used


class TestState:
    @pytest.mark.parametrize(
        ("later", "revoked", "expected"),
        [
            (0 * HOUR, None, "living"),
            (HOUR, None, "expired"),
            (0 * HOUR, NOW, "revoked"),
            (HOUR, NOW, "revoked"),
        ],
    )
    def test_one(self, later, revoked, expected):
        """
        A token lives until it expires or is revoked.
        """
        token = dataclasses.replace(TOKEN, revoked=revoked)

        assert expected == token.state(NOW + later)

    def test_no_secret(self):
        """
        Not even the digest is written when one is.
        """
        assert "sha256" not in repr(TOKEN)


def test_senseless(ledger, replica, store):
    """
    A row that makes no sense is a damaged store.
    """
    ledger.tokens.add(TOKEN)
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("UPDATE api_tokens SET created = ?", (2**62,))
        db.commit()

    with pytest.raises(UnavailableError, match="makes no sense"):
        TokenView(replica).find(TOKEN.id)
