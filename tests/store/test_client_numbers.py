import contextlib
import datetime
import tempfile

from pathlib import Path

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.new_store import new_store
from tests.store.made import ANCHORS, day
from thim.store.client_numbers import KEPT, MOST_CLIENTS
from thim.store.client_view import AHEAD, ClientNumber, ClientView
from thim.store.ledger import Ledger
from thim.store.replica import Replica


NOW = day(40)
SECOND = datetime.timedelta(seconds=1)


def fetched(client, number=17, seen=NOW, tenant="ours"):
    """
    What one client fetched.
    """
    return ClientNumber(tenant=tenant, client=client, number=number, seen=seen)


def note(ledger, *them, now=NOW, **more):
    """
    Write down what they fetched.
    """
    ledger.client_numbers.note(them, now, **more)


def everything(view, tenant="ours", since=NOW - KEPT):
    """
    All that is known of a tenant, the last seen first.
    """
    return view.behind(tenant, 1000, since, 100_000)


@pytest.fixture
def view(replica):
    """
    What is read of it.
    """
    return ClientView(replica)


class TestNote:
    def test_nothing(self, ledger, replica):
        """
        Where nothing was fetched, nothing is committed.
        """
        before = replica.generation()
        note(ledger)

        assert before == replica.generation()

    def test_replaced(self, ledger, view):
        """
        Of each client of each tenant the last number is kept.
        """
        note(ledger, fetched("a"), fetched("b"), fetched("a", tenant="theirs"))
        newer = fetched("a", 18, NOW + SECOND)
        note(ledger, newer)

        assert [newer, fetched("b")] == everything(view)
        assert [fetched("a", tenant="theirs")] == everything(view, "theirs")

    def test_older_again(self, ledger, view):
        """
        Who has gone back to an older number is seen to have done so.
        """
        back = fetched("a", 16, NOW + SECOND)
        note(ledger, fetched("a"))
        note(ledger, back)

        assert [back] == everything(view)

    def test_late(self, ledger, view):
        """
        What was seen earlier and is told later does not count.
        """
        note(ledger, fetched("a", 18))
        note(ledger, fetched("a", 17, NOW - SECOND))

        assert [fetched("a", 18)] == everything(view)

    def test_clock_was_ahead(self, ledger, view):
        """
        What was seen by a clock far ahead does not count for ever.
        """
        note(ledger, fetched("a", 17, NOW + 2 * AHEAD), now=NOW + 2 * AHEAD)
        note(ledger, fetched("a", 18))

        assert [fetched("a", 18)] == everything(view)

    def test_forgotten(self, ledger, view):
        """
        Who has not been seen for 30 days is forgotten, of any tenant.
        """
        note(ledger, fetched("a"), fetched("b", seen=NOW + SECOND))
        later = fetched("c", seen=NOW + KEPT, tenant="theirs")
        note(ledger, later, now=NOW + KEPT + SECOND)

        assert ["b"] == [one.client for one in everything(view)]
        assert [later] == everything(view, "theirs")

    def test_bound(self, ledger, view):
        """
        A tenant has no more than 50,000; who was seen last stays, and many
        are found in no time.
        """
        start = NOW - MOST_CLIENTS * SECOND
        them = [
            fetched(f"{i}", seen=start + i * SECOND)
            for i in range(MOST_CLIENTS)
        ]
        note(ledger, *them, fetched("a", tenant="theirs"))
        note(ledger, fetched("x"), fetched("y"))

        found = {one.client for one in everything(view)}

        assert MOST_CLIENTS == len(found)
        assert {"x", "y"} <= found
        assert {"0", "1"}.isdisjoint(found)
        assert 1 == len(everything(view, "theirs"))
        assert 10_000 == len(view.find("ours", map(str, range(9_000, 19_000))))


INSTANTS = st.integers(0, 20).map(lambda n: NOW - n * SECOND)
FETCHED = st.builds(
    fetched,
    st.sampled_from("abcdef"),
    st.integers(15, 18),
    INSTANTS,
    st.sampled_from(["ours", "theirs"]),
)


@given(
    batches=st.lists(st.lists(FETCHED, max_size=8), max_size=6),
    most=st.integers(1, 6),
)
@settings(max_examples=40, deadline=None)
def test_bounded(batches, most):
    """
    Whatever comes, each tenant has at most so many clients, each once, and
    none of those that are gone was seen later than one of the last batch that
    stays.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "thim.db"
        new_store(path, ANCHORS)
        with Ledger(path, ANCHORS) as ledger:
            for batch in batches:
                note(ledger, *batch, most=most)
        with contextlib.closing(Replica(path)) as replica:
            view = ClientView(replica)
            kept = {name: everything(view, name) for name in ("ours", "theirs")}

    for tenant, found in kept.items():
        told = {
            one.client for b in batches for one in b if one.tenant == tenant
        }
        assert min(most, len(told)) >= len(found)
        assert len(found) == len({one.client for one in found})
        assert bool(told) == bool(found)
        latest = max(
            (o.seen for b in batches for o in b if o.tenant == tenant),
            default=None,
        )
        assert latest == max((one.seen for one in found), default=None)


class TestView:
    @pytest.fixture(autouse=True)
    def _fill(self, ledger):
        note(
            ledger,
            fetched("a", 17, NOW - 3 * SECOND),
            fetched("b", 17, NOW - 2 * SECOND),
            fetched("c", 18, NOW - SECOND),
            fetched("d", 16, NOW),
            fetched("e", 18, tenant="theirs"),
        )

    def test_find(self, view):
        """
        Clients are found by their names, those of one tenant.
        """
        assert {"c": fetched("c", 18, NOW - SECOND)} == view.find(
            "ours", ["c", "e", "nobody"]
        )

    def test_count(self, view):
        """
        They are counted by number, those that were seen since an instant.
        """
        assert {16: 1, 17: 2, 18: 1} == view.count("ours", day(0))
        assert {16: 1, 17: 1, 18: 1} == view.count("ours", NOW - 2 * SECOND)
        assert {} == view.count("nobody", day(0))

    def test_behind(self, view):
        """
        Those that are behind are listed, the last seen first, up to a bound.
        """
        found = view.behind("ours", 18, day(0), 2)

        assert ["d", "b"] == [one.client for one in found]
