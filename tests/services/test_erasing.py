"""
What a service erases, by its settings.
"""

import asyncio

from datetime import timedelta

import pytest

from tests.platforms import NOW, entry, platform_id
from thim.errors import ThimError
from thim.services.erasing import Eraser, Retention


DAY = timedelta(days=1)


@pytest.fixture
def gone(ledger, intel):
    """
    A platform that was retired, and a stranger; both a while ago.
    """
    row, _ = ledger.platforms.enter(
        [entry(intel, "one"), entry(intel, "two")], NOW
    )
    ledger.platforms.retire(row, actor="root", now=NOW)
    ledger.strangers.note({platform_id("three"): 1}, NOW)
    return row


def erase(store, anchors, now, **retention):
    """
    Erase what is old enough at an instant.
    """
    eraser = Eraser(
        store=store, anchors=anchors, retention=Retention(**retention)
    )
    return asyncio.run(eraser.erase(now))


def left(replica):
    """
    Count the platforms and the strangers.
    """
    return replica.first(
        "SELECT (SELECT count(*) FROM platforms), "
        "(SELECT count(*) FROM strangers)"
    )


class TestErase:
    def test_unasked(self, store, anchors, replica, gone):
        """
        Where no setting says otherwise, who asked is forgotten after thirty
        days, and machines are for ever.
        """
        assert 0 == erase(store, anchors, NOW + 30 * DAY)
        assert 1 == erase(store, anchors, NOW + 31 * DAY)
        assert (2, 0) == left(replica)

    def test_machines(self, store, anchors, replica, gone):
        """
        Machines go if a setting says when, and not before.
        """
        retention = {"machines": 2 * DAY}

        assert 0 == erase(store, anchors, NOW + 2 * DAY, **retention)
        assert 1 == erase(store, anchors, NOW + 3 * DAY, **retention)
        assert (1, 1) == left(replica)

    def test_many(self, ledger, intel, store, anchors, replica):
        """
        However many there are, all go.
        """
        rows = ledger.platforms.enter(
            [entry(intel, f"p{n}") for n in range(202)], NOW
        )
        with ledger.all_or_none():
            for row in rows[:-1]:
                ledger.platforms.retire(row, actor="root", now=NOW)

        assert 201 == erase(store, anchors, NOW + DAY, machines=DAY / 2)
        assert (1, 0) == left(replica)

    def test_no_store(self, tmp_path, anchors):
        """
        Where the store cannot be written that is an error of ours.
        """
        with pytest.raises(ThimError):
            erase(tmp_path / "none.db", anchors, NOW)
