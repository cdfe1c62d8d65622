"""
The end of the chain of events, checked without all that is before it.
"""

import contextlib
import sqlite3

import pytest

from tests.platforms import NOW
from thim.services.audit_views import check_end
from thim.services.tokens import Role, make_token
from thim.store.replica import Replica


@pytest.fixture
def events(ledger, store):
    """
    Write six events.
    """
    for n in range(6):
        _, token = make_token(f"t{n}", Role.READER, actor="root", now=NOW)
        ledger.tokens.add(token)
    return store


def check(store, most=1000):
    """
    Check the end of the chain.
    """
    with contextlib.closing(Replica(store)) as replica:
        return check_end(replica, most)


def change(store, number):
    """
    Change an event, as nobody should.
    """
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE events SET actor = 'x' WHERE id = ?", (number,))


class TestCheckEnd:
    def test_empty(self, ledger, store):
        """
        Before anything was decided there is no end.
        """
        found = check(store)

        assert (None, 0, None) == (found.head, found.checked, found.broken)

    @pytest.mark.parametrize(("most", "checked"), [(1000, 6), (6, 6), (2, 1)])
    def test_whole(self, events, most, checked):
        """
        Where nothing was changed all that was looked at follows.
        """
        found = check(events, most)

        assert found.head is not None
        assert (6, checked, None) == (
            found.head.id,
            found.checked,
            found.broken,
        )

    @pytest.mark.parametrize(
        ("number", "most", "broken"), [(2, 1000, 2), (6, 2, 6), (2, 2, None)]
    )
    def test_changed(self, events, number, most, broken):
        """
        The first one that does not follow is told, of those looked at.
        """
        change(events, number)

        assert broken == check(events, most).broken
