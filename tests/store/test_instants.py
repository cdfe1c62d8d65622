from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from thim.store.instants import from_stored, to_stored


zones = st.integers(-14 * 60, 14 * 60).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)
instants = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - the zone is drawn apart
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=zones,
)


class TestInstants:
    def test_counts_microseconds(self):
        """
        A second after the epoch is a million.
        """
        assert 1_000_000 == to_stored(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))

    @given(instants)
    def test_round_trip(self, instant):
        """
        An instant comes back to the microsecond, and in UTC.
        """
        back = from_stored(to_stored(instant))

        assert instant == back
        assert UTC is back.tzinfo

    @given(instants, instants)
    def test_keeps_the_order(self, one, other):
        """
        What is stored sorts as the instants do, so SQL may compare it.
        """
        assert (one < other) == (to_stored(one) < to_stored(other))
