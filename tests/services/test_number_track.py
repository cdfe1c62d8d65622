"""
At which numbers a baseline stood.
"""

import datetime

import pytest

from tests.services.changes import (
    baseline,
    define,
    list_numbers,
    point,
)
from tests.services.made import day
from thim.baseline.decided import Promotion
from thim.services.number_track import find_track


HOUR = datetime.timedelta(hours=1)


def stays(replica, name, n):
    """
    Tell at which numbers it stood by the nth day, and on which day each began.
    """
    return [
        (stay.number, (stay.begin - day(0)).days)
        for stay in find_track(replica, name, day(n))
    ]


class TestTrack:
    def test_nothing(self, replica):
        """
        Before anything is archived it stood nowhere.
        """
        assert () == find_track(replica, "standard", day(0))

    def test_channel(self, ledger, replica):
        """
        A floating one moves when the vendor's channel was seen to.
        """
        list_numbers(ledger)
        point(ledger, 17, 1)
        point(ledger, 18, 100)
        point(ledger, 19, 200)

        found = find_track(replica, "standard", day(300))

        assert [17, 18, 19] == [stay.number for stay in found][-3:]
        assert [day(100), day(200)] == [stay.begin for stay in found][-2:]
        assert [day(100), day(200), None] == [s.end for s in found][-3:]

    def test_numbers(self, ledger, replica):
        """
        What nobody dates exactly is found to the hour: a list that names
        another number, taken in later than it was issued.
        """
        event = day(-10)
        list_numbers(ledger, {17: event})
        list_numbers(ledger, {17: event, 18: event}, 50)

        found = find_track(replica, "early", day(60))

        assert [17, 18] == [stay.number for stay in found]
        assert abs(found[1].begin - day(50)) <= HOUR

    def test_versions(self, ledger, replica):
        """
        One that was defined otherwise stood there until then.
        """
        list_numbers(ledger)
        define(ledger, baseline("prod", "number: 17"), 10)
        define(ledger, baseline("prod", "number: 19"), 20)

        assert [(17, 10), (19, 20)] == stays(replica, "prod", 30)

    def test_held(self, ledger, replica):
        """
        A held one moves when it was promoted, and not when its rule did.
        """
        list_numbers(ledger)
        point(ledger, 17, 1)
        held = baseline("prod", "standard", hold="until-approved")
        define(ledger, held, 2)
        point(ledger, 18, 10)
        moved = Promotion(
            baseline="prod",
            version=1,
            sequence=2,
            number=18,
            noticed=day(10),
            effective=day(20),
            actor="test",
            reason="approved",
        )
        assert ledger.definitions.promote(moved)

        found = stays(replica, "prod", 30)

        assert [(17, 2), (18, 20)] == found

    def test_trailing(self, ledger, replica):
        """
        One that trails moves by the calendar alone.
        """
        numbers = {17: day(-600), 18: day(-500)}
        list_numbers(ledger, numbers)
        define(ledger, baseline("old", "trailing: 540d"), 1)

        found = stays(replica, "old", 100)

        assert [(17, 1), (18, 40)] == found

    @pytest.mark.parametrize("name", ["17", "99"])
    def test_number(self, ledger, replica, name):
        """
        A number stays where it is, if anything is known of it.
        """
        list_numbers(ledger)
        expected = [(17, 0)] if name == "17" else []

        assert expected == stays(replica, name, 30)
