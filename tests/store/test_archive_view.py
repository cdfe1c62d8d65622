import contextlib
import sqlite3

import pytest

from tests.store.made import KEY, OTHER_KEY, V1_KEY, day, make_record
from thim.errors import UnavailableError
from thim.store.archive_view import ArchiveView


@pytest.fixture
def view(ledger, replica):
    """
    A look at three versions of a document, one of another number, and one that
    is never served.
    """
    for n in (0, 10, 5):
        ledger.add(make_record(n))
    ledger.add(make_record(3, number=18))
    ledger.add(make_record(1, key=V1_KEY, number=None, lasts=None))
    return ArchiveView(replica)


class TestNewest:
    def test_each_once(self, view):
        """
        Each key and number comes once, with the newest version.
        """
        found = [
            (v.entry.key, v.entry.evaluation_number, v.entry.issued)
            for v in view.newest()
        ]

        assert [
            (V1_KEY, None, day(1)),
            (KEY, 17, day(10)),
            (KEY, 18, day(3)),
        ] == found

    def test_never_served(self, view):
        """
        What is never served comes too, and it is told so.
        """
        assert [False, True, True] == [v.entry.is_head for v in view.newest()]


class TestVersions:
    def test_order(self, view):
        """
        All versions of a key come, of all numbers, the newest first.
        """
        found = view.versions(KEY, 10)

        assert [
            (day(10), True),
            (day(5), False),
            (day(3), True),
            (day(0), False),
        ] == [(v.entry.issued, v.entry.is_head) for v in found]
        assert {day(1000)} == {v.fetched for v in found}

    def test_bounded(self, view):
        """
        No more come than are asked for.
        """
        assert [day(10)] == [v.entry.issued for v in view.versions(KEY, 1)]

    def test_none(self, view):
        """
        Of a key without documents there is none.
        """
        assert [] == view.versions(OTHER_KEY, 10)


class TestFind:
    def test_found(self, view):
        """
        A version is found by its digest, with its number.
        """
        record = make_record(3, number=18)
        held = view.find(KEY, record.sha256)

        assert (record.body, 18) == (held.body, held.evaluation_number)

    def test_other_key(self, view):
        """
        It is not found as another document.
        """
        assert view.find(OTHER_KEY, make_record(0).sha256) is None

    def test_damaged(self, view, store):
        """
        A body that is not what was stored is not given out.
        """
        with contextlib.closing(sqlite3.connect(store)) as db:
            db.execute("UPDATE records SET body = x'00'")
            db.commit()

        with pytest.raises(UnavailableError, match="damaged"):
            view.find(KEY, make_record(0).sha256)
