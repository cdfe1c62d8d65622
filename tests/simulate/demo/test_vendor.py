import datetime

import pytest

from thim.simulate.demo.fleet import DemoFleet
from thim.simulate.demo.vendor import (
    DAY,
    NEWEST,
    PAST,
    STANDARD,
    make_world,
    staging,
)


FLEET = DemoFleet.of(20)


@pytest.mark.parametrize("year", [2024, 2031, 2044])
class TestMakeWorld:
    def test_recovery(self, year):
        """
        A TCB recovery has just begun, whenever it is: the newest number is
        listed for less than a week, and is not the standard yet.
        """
        today = _first_of_march(year)
        newest = make_world(FLEET, today).intel.numbers[-1]

        assert NEWEST == newest.number
        assert today - 7 * DAY < newest.since < today < _standard(newest)

    def test_promotion(self, year):
        """
        The standard has moved within the past that a store is given.
        """
        today = _first_of_march(year)
        numbers = make_world(FLEET, today).intel.numbers
        (moved,) = (_standard(n) for n in numbers if n.number == STANDARD)

        assert today - PAST * DAY < moved < today


def _first_of_march(year):
    return datetime.datetime(year, 3, 1, tzinfo=datetime.UTC)


def _standard(number):
    assert number.standard is not None
    return number.standard


class TestStaging:
    def test_past(self):
        """
        The vendors begin in the past, at a clock that stands still.
        """
        with staging(20) as stage:
            clock = stage.vendors.clock

            assert clock.is_frozen
            assert clock() < stage.today - (PAST - 1) * DAY
