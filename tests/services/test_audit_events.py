import contextlib
import sqlite3

import pytest

from tests.services.made import INTEL, NOW
from thim.services.audit import audit
from thim.store.ledger import Ledger


@pytest.fixture
def eventful(store):
    """
    A store with three events.
    """
    with Ledger(store, INTEL.anchors) as ledger:
        for n in range(3):
            ledger.events.add("x", str(n), actor="me", now=NOW)
    return store


def check(store):
    """
    Return what is wrong with a store.
    """
    with Ledger(store, INTEL.anchors) as ledger:
        found = audit(ledger).findings
    return [(finding.record, finding.reason) for finding in found]


def change(store, statement):
    """
    Change a store past all our own code.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        assert 1 == db.execute(statement).rowcount
        db.commit()


class TestAudit:
    def test_sound(self, eventful):
        """
        Nothing is wrong with events as they were written.
        """
        assert [] == check(eventful)

    def test_changed(self, eventful):
        """
        An event that says something else is found.
        """
        change(eventful, "UPDATE events SET actor = 'you' WHERE id = 2")

        assert [("event 2", "chain")] == check(eventful)

    def test_dropped(self, eventful):
        """
        So is that one is missing.
        """
        change(eventful, "DELETE FROM events WHERE id = 2")

        assert [("event 3", "chain")] == check(eventful)

    def test_added(self, eventful):
        """
        So is one that was put in past the chain.
        """
        change(
            eventful,
            "INSERT INTO events (at, actor, action, detail) "
            "VALUES (1, 'a', 'b', 'c')",
        )

        assert [("event 4", "chain")] == check(eventful)
