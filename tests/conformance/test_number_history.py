"""
The history of the vendor's real numbers, from the real lists.
"""

import contextlib
import datetime

import pytest

from tests.baseline.numbers import DAY, EVENTS
from thim.baseline.events import events_behind
from thim.store.replica import Replica


AT = datetime.datetime(2025, 10, 14, tzinfo=datetime.UTC)


def of_lists(text):
    """
    Read the instant at which a list was issued.
    """
    return datetime.datetime.fromisoformat(f"{text}+00:00")


SPRING = of_lists("2025-03-28T09:10:35")
MAY = of_lists("2025-05-27T18:50:21")
AUGUST = of_lists("2025-08-15T05:15:31")
OCTOBER = of_lists("2025-10-13T11:17:10")
FIRST = {
    **dict.fromkeys(range(13, 17), OCTOBER),
    17: SPRING,
    18: SPRING,
    19: MAY,
    20: AUGUST,
}


@pytest.fixture(scope="module")
def history(corpus_store):
    """
    What was known on 14 October 2025.
    """
    with contextlib.closing(Replica(corpus_store)) as replica:
        return replica.number_history(AT)


@pytest.mark.parametrize("number", sorted(EVENTS))
def test_listed(history, number):
    """
    13 to 20 have the vendor's dates, and stand in its lists since they did;
    13 to 16 came back for TDX alone, so they do not count as signed.
    """
    entry = history[number]

    assert EVENTS[number] == entry.recovery_event
    assert EVENTS[number] + DAY == entry.tcb_date
    assert FIRST[number] == entry.first_listed
    assert OCTOBER == entry.last_listed
    assert (number > 16) == entry.is_signed_now
    assert entry.withdrawn is None
    assert entry.promotion is None
    assert entry.disclosure is None


def test_unlisted(history):
    """
    Older numbers are known from their documents alone.
    """
    assert {10, 12} <= set(history)
    assert history[10].recovery_event is None
    assert history[10].newest_next_update < AT
    assert history[17].newest_next_update > AT
    assert 21 not in history


def test_events_behind(history):
    """
    One event behind 20 is 19, seven are 13.
    """
    assert 19 == events_behind(history, 20, 1)
    assert 13 == events_behind(history, 20, 7)
