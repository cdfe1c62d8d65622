from datetime import timedelta

import pytest

from tests.store.made import ANCHORS, day
from thim.errors import UnavailableError
from thim.store.ledger import Ledger
from thim.store.outlook_view import OutlookView


NOW = day(0)
HOUR = timedelta(hours=1)


@pytest.fixture
def view(replica):
    """
    What is read of it.
    """
    return OutlookView(replica)


def claim(ledger, at=NOW):
    """
    Want to work it out for an hour, unless it is newer than that.
    """
    return ledger.outlooks.claim(at, at + HOUR, at - HOUR)


class TestClaim:
    def test_first(self, ledger, view):
        """
        Who comes first has the work; nothing is there to be read yet.
        """
        assert claim(ledger)
        assert ({}, None) == (view.bodies(), view.taken())

    def test_second(self, ledger, store):
        """
        Who comes second has not, until the lease ends.
        """
        assert claim(ledger)
        with Ledger(store, ANCHORS) as other:
            assert not claim(other, day(0) + HOUR / 2)
            assert claim(other, day(0) + HOUR)

    def test_done(self, ledger):
        """
        Nobody has it while it is new enough.
        """
        claim(ledger)
        ledger.outlooks.put({"lab": "{}"}, day(0))

        assert not claim(ledger, day(0) + HOUR)
        assert claim(ledger, day(0) + HOUR + timedelta(seconds=1))

    def test_failed(self, ledger, view):
        """
        Who takes it and does not do it leaves what was there.
        """
        claim(ledger)
        ledger.outlooks.put({"lab": "{}"}, day(0))
        claim(ledger, day(1))

        assert ({"lab": "{}"}, day(0)) == (view.bodies(), view.taken())

    def test_done_ahead(self, ledger):
        """
        What was done by a clock that was ahead does not count.
        """
        claim(ledger, day(400))
        ledger.outlooks.put({"lab": "{}"}, day(400))

        assert claim(ledger)

    def test_taken_ahead(self, ledger):
        """
        Nor what was taken by one.
        """
        claim(ledger, day(400))

        assert claim(ledger)
        assert not claim(ledger)


class TestPut:
    def test_read(self, ledger, view):
        """
        What is put is read, with when.
        """
        claim(ledger)
        ledger.outlooks.put({"root": '{"n":1}', "lab": "{}"}, day(1))

        assert {"root": '{"n":1}', "lab": "{}"} == view.bodies()
        assert day(1) == view.taken()

    def test_all_new(self, ledger, view):
        """
        It takes the place of all: a tenant that is gone is gone.
        """
        for n, bodies in enumerate(({"lab": "1", "shop": "1"}, {"lab": "2"})):
            claim(ledger, day(n))
            ledger.outlooks.put(bodies, day(n))

        assert ({"lab": "2"}, day(1)) == (view.bodies(), view.taken())

    def test_nobody(self, ledger, view):
        """
        Where there is no tenant at all, that it was done is known.
        """
        claim(ledger)
        ledger.outlooks.put({}, day(0))

        assert ({}, day(0)) == (view.bodies(), view.taken())

    def test_damaged(self, ledger, view, replica):
        """
        A row that makes no sense is an error that says so.
        """
        claim(ledger)
        ledger.outlooks.put({}, day(0))
        with ledger._transaction() as connection:
            connection.exec_driver_sql(
                "UPDATE outlooks SET taken = 9223372036854775807"
            )
        with pytest.raises(UnavailableError, match="makes no sense"):
            view.taken()
