import datetime

import pytest

from tests.services.made import INTEL, NOW
from tests.tenants import Decisions
from thim.errors import NotFoundError, ParameterError
from thim.services.client_notes import LAG
from thim.services.uptake import PERIOD, find_uptake
from thim.store.client_view import ClientNumber


HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def note(ledger):
    """
    Writes down what the root's clients fetched.
    """

    def write(*them):
        fetched = [
            ClientNumber(tenant=tenant, client=name, number=number, seen=seen)
            for name, number, seen, tenant in them
        ]
        ledger.client_numbers.note(fetched, NOW)

    return write


def test_uptake(note, replica):
    """
    Who last fetched the number or a newer one counts as reached; the others
    are listed, those that were seen last first.
    """
    note(
        ("a", 17, NOW - 3 * HOUR, "root"),
        ("b", 18, NOW - 2 * HOUR, "root"),
        ("c", 19, NOW - HOUR, "root"),
        ("d", 16, NOW, "root"),
        ("e", 18, NOW, "theirs"),
    )
    found = find_uptake(replica, "root", 18, NOW)

    assert (4, 2, 0.5) == (found.clients, found.fetched, found.share)
    assert [("d", 16, NOW), ("a", 17, NOW - 3 * HOUR)] == [
        (one.client, one.number, one.seen) for one in found.behind
    ]


def test_bounded(note, replica):
    """
    No more are listed than are asked for, and all are counted.
    """
    note(*((f"{i}", 17, NOW - i * HOUR, "root") for i in range(5)))
    found = find_uptake(replica, "root", 18, NOW, 2)

    assert (5, 0, 0.0) == (found.clients, found.fetched, found.share)
    assert ["0", "1"] == [one.client for one in found.behind]


def test_gone(note, replica):
    """
    Who was seen before what a client keeps, and before what may not have been
    written down yet, does not count.
    """
    edge = NOW - PERIOD - LAG
    note(
        ("here", 17, edge, "root"),
        ("gone", 17, edge - datetime.timedelta(microseconds=1), "root"),
    )
    found = find_uptake(replica, "root", 18, NOW)

    assert edge == found.since
    assert ["here"] == [one.client for one in found.behind]


def test_former_owner(note, store, replica):
    """
    Who was seen before there was this tenant was a client of another one that
    had the same name.
    """
    since = NOW - HOUR
    Decisions().tenant("late", "17", since=since).write(store, INTEL.anchors)
    note(("a", 17, since - HOUR, "late"), ("b", 17, NOW, "late"))
    found = find_uptake(replica, "late", 18, NOW)

    assert ["b"] == [one.client for one in found.behind]


def test_nobody(replica):
    """
    Where nobody was seen there is no share.
    """
    found = find_uptake(replica, "root", 18, NOW)

    assert (0, None, ()) == (found.clients, found.share, found.behind)


def test_no_tenant(replica):
    """
    A tenant that is not known is an error.
    """
    with pytest.raises(NotFoundError, match="nobody"):
        find_uptake(replica, "nobody", 18, NOW)


def test_negative(replica):
    """
    A bound below zero is an error that names it.
    """
    with pytest.raises(ParameterError, match="most"):
        find_uptake(replica, "root", 18, NOW, -1)
