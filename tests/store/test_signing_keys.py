import contextlib
import datetime
import sqlite3

import pytest

from tests.attestation.signing import DAY, NOW, a_key
from thim.attestation.signing_certificate import EvidenceKind, KeyEvidence
from thim.errors import NotFoundError, UnavailableError
from thim.store.signing_key_view import SigningKeyView
from thim.store.signing_keys import NewSigningKey


SEALED = b"sealed secret"
EVIDENCE = KeyEvidence(kind=EvidenceKind.SNP, data=b"{}")


def new(kid="one", active_from=NOW, **changes):
    """
    Make a new key.
    """
    return NewSigningKey(key=a_key(kid, active_from, **changes), sealed=SEALED)


def always(_keys):
    """
    Say that a key is needed.
    """
    return True


@pytest.fixture
def view(replica):
    """
    The signing keys as they are read.
    """
    return SigningKeyView(replica)


def change(store, statement):
    """
    Change a store past all our own code.
    """
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        assert db.execute(statement).rowcount > 0


def events(store):
    """
    Return what was decided, and by whom.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute("SELECT actor, action, detail FROM events").fetchall()


class TestAdd:
    @pytest.mark.parametrize("evidence", [None, EVIDENCE])
    def test_read_back(self, ledger, view, evidence):
        """
        What was kept is read back, its sealed secret apart from it.
        """
        made = new(evidence=evidence)

        assert ledger.signing_keys.add(made, always)
        assert (made.key,) == view.all()
        assert SEALED == view.find_sealed("one")
        assert view.find_sealed("two") is None

    def test_order(self, ledger, view):
        """
        Keys are in the order in which they sign.
        """
        for kid, later in (("three", 3), ("one", 1), ("two", 2)):
            ledger.signing_keys.add(new(kid, NOW + later * DAY), always)

        assert ["one", "two", "three"] == [key.kid for key in view.all()]

    def test_not_needed(self, ledger, view):
        """
        One that those make needless which are there by then is not kept.
        """
        asked = []

        def is_needed(keys):
            asked.append(keys)
            return not keys

        first, second = new("one"), new("two")

        assert ledger.signing_keys.add(first, is_needed)
        assert not ledger.signing_keys.add(second, is_needed)
        assert [[], [first.key]] == asked
        assert (first.key,) == view.all()

    def test_event(self, ledger, store):
        """
        It is written down who has made it, and nothing of its secret.
        """
        ledger.signing_keys.add(new(), always)

        assert [
            (
                "test",
                "signing-key-create",
                f"signing key one, signs from {NOW:%FT%TZ} on, no evidence",
            )
        ] == events(store)

    def test_secret(self):
        """
        A sealed secret is not in how a new key is written.
        """
        assert "sealed" not in repr(new())


class TestRevoke:
    def test_revoke(self, ledger, view):
        """
        A key that is revoked says so, and its secret is destroyed.
        """
        ledger.signing_keys.add(new(), always)

        assert ledger.signing_keys.revoke("one", actor="me", now=NOW + DAY)
        assert NOW + DAY == view.all()[0].revoked
        assert view.find_sealed("one") is None

    def test_twice(self, ledger, store, view):
        """
        The second time changes nothing, and is no event.
        """
        ledger.signing_keys.add(new(), always)
        ledger.signing_keys.revoke("one", actor="me", now=NOW + DAY)

        assert not ledger.signing_keys.revoke("one", actor="me", now=NOW)
        assert NOW + DAY == view.all()[0].revoked
        assert [("me", "signing-key-revoke", "signing key one")] == events(
            store
        )[1:]

    def test_unknown(self, ledger):
        """
        A key that there is not is named.
        """
        with pytest.raises(NotFoundError, match="no signing key is 'one'"):
            ledger.signing_keys.revoke("one", actor="me", now=NOW)


class TestEvidence:
    def test_put(self, ledger, view):
        """
        Evidence takes the place of what there was.
        """
        ledger.signing_keys.add(new(), always)
        ledger.signing_keys.put_evidence("one", EVIDENCE)

        assert EVIDENCE == view.all()[0].evidence


class TestGiveUp:
    def test_revoked(self, ledger, view):
        """
        With the sealing key all signing keys are lost: they are revoked, those
        that are not already.
        """
        for kid in ("one", "two", "three"):
            ledger.signing_keys.add(new(kid), always)
        ledger.signing_keys.revoke("one", actor="me", now=NOW)
        lost = ledger.keys.give_up(NOW + DAY)

        assert "0 sealed manifests dropped, 2 signing keys revoked" == str(lost)
        found = {key.kid: key.revoked for key in view.all()}
        assert {
            "one": NOW,
            "two": NOW + DAY,
            "three": NOW + DAY,
        } == found
        assert view.find_sealed("two") is None


class TestView:
    def test_remembered(self, ledger, view):
        """
        Keys are read once for each generation of the store.
        """
        ledger.signing_keys.add(new(), always)
        first = view.all()

        assert first is view.all()
        ledger.signing_keys.revoke("one", actor="me", now=NOW)
        assert first != view.all()

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE signing_keys SET evidence_kind = 'gpu'",
            "UPDATE signing_keys SET created = 1 << 62",
        ],
    )
    def test_senseless(self, ledger, store, view, statement):
        """
        A row that makes no sense is an error with a reason.
        """
        ledger.signing_keys.add(new(), always)
        change(store, statement)
        with pytest.raises(UnavailableError, match="makes no sense"):
            view.all()

    def test_microseconds(self, ledger, view):
        """
        Instants are kept to the microsecond.
        """
        moment = NOW + datetime.timedelta(microseconds=1)
        ledger.signing_keys.add(new(active_from=moment), always)

        assert moment == view.all()[0].active_from
