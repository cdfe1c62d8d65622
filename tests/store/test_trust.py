import contextlib
import hashlib
import sqlite3

import pytest

from cryptography.hazmat.primitives.serialization import Encoding

from tests.store.made import ANCHORS, day
from thim.errors import OperatorError
from thim.simulate.pki import Intel
from thim.store.instants import to_stored
from thim.store.ledger import Ledger
from thim.store.replica import Replica


NEW = Intel("new root")
(PIN,) = NEW.anchors.spki_sha256


def add(ledger, *, actor="root (sudo by me)"):
    """
    Trust NEW's root.
    """
    return ledger.add_anchor(NEW.root, vendor="intel", actor=actor, now=day(1))


def events(store):
    """
    Return what was decided.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        return db.execute(
            "SELECT at, actor, action, detail FROM events"
        ).fetchall()


class TestAnchors:
    def test_stamped(self, ledger):
        """
        At first those count with which the store was made.
        """
        assert ANCHORS == ledger.anchors()

    def test_added(self, ledger, store):
        """
        A root that was added counts beside them, in every process at once.
        """
        with Ledger(store, ANCHORS) as other:
            assert add(ledger)

            assert ANCHORS.spki_sha256 | {PIN} == other.anchors().spki_sha256

    def test_twice(self, ledger, store):
        """
        The second time a root is not new, and nothing is written down.
        """
        assert (True, False) == (add(ledger), add(ledger, actor="other"))
        assert 1 == len(events(store))

    def test_stays_marked(self, ledger, store):
        """
        The store still is one for the anchors with which it was made.
        """
        add(ledger)

        Ledger(store, ANCHORS).close()
        with (
            contextlib.closing(Replica(store)) as replica,
            pytest.raises(OperatorError, match="made for the trust anchors"),
        ):
            replica.check_anchors(ledger.anchors())


class TestEvent:
    def test_written_down(self, ledger, store):
        """
        Who added which root, and when, is written down.
        """
        add(ledger)

        digest = hashlib.sha256(NEW.root.public_bytes(Encoding.DER)).hexdigest()
        ((at, actor, action, detail),) = events(store)
        assert (to_stored(day(1)), "root (sudo by me)", "trust-add") == (
            at,
            actor,
            action,
        )
        assert PIN.hex() in detail
        assert digest in detail
