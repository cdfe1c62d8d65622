from datetime import timedelta

import pytest

from tests.made_amd import NOW, endorsement, fill, vcek
from tests.platforms import entry, tcbm
from thim.store.expiry_view import ExpiryView


DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
ENDS = [
    (timedelta(0), "expired"),
    (SECOND, "7d"),
    (7 * DAY, "7d"),
    (7 * DAY + SECOND, "30d"),
    (30 * DAY, "30d"),
    (31 * DAY, "90d"),
    (91 * DAY, "later"),
]


def in_window(name, count=1):
    """
    Return counts of which *count* is in one window, and the rest 0.
    """
    names = ("expired", "7d", "30d", "90d", "later")
    return {each: count if each == name else 0 for each in names}


@pytest.fixture
def view(replica):
    """
    The ends of what the store holds.
    """
    return ExpiryView(replica)


@pytest.mark.parametrize(("left", "window"), ENDS)
def test_pck_certificates(ledger, view, intel, left, window):
    """
    A certificate is counted in the first window that it ends in.
    """
    one = entry(intel, "one", tcbm(4), tcbm(5))
    ledger.platforms.enter([one], NOW)
    end = one.certificates[0].certificate.not_after

    assert in_window(window, 2) == view.pck_certificates(end - left)


@pytest.mark.parametrize(("left", "window"), ENDS)
def test_vceks(ledger, view, left, window):
    """
    So is a VCEK.
    """
    fill(ledger)
    record = endorsement(vcek())
    ledger.endorsements.add(record)

    assert in_window(window) == view.vceks(record.key.not_after - left)


def test_empty(view):
    """
    Where there is nothing all windows are empty.
    """
    assert in_window("later", 0) == view.pck_certificates(NOW)
    assert in_window("later", 0) == view.vceks(NOW)
    assert 0 == view.quarantined()
