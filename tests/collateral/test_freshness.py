import datetime

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.collateral.freshness import is_expired, max_age, max_age_changes
from thim.simulate.pki import ISSUED


SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)
ENDS = ISSUED
durations = st.integers(-30, 30).map(lambda n: n * SECOND)


class TestIsExpired:
    @pytest.mark.parametrize(
        ("now", "expected"),
        [
            (ENDS - SECOND, False),
            (ENDS, False),
            (ENDS + datetime.timedelta(microseconds=1), True),
            (ENDS + SECOND, True),
        ],
    )
    def test_boundary(self, now, expected):
        """
        The instant of the next update still counts as valid, as in QVL.
        """
        assert expected is is_expired(ENDS, now)

    def test_without_an_end(self):
        """
        A document without a next update does not expire.
        """
        assert not is_expired(None, ENDS)


class TestMaxAge:
    @pytest.mark.parametrize(
        ("left", "expected"),
        [
            (2 * HOUR, 3600),
            (HOUR + SECOND, 3600),
            (HOUR, 3600),
            (HOUR - SECOND, 3599),
            (SECOND, 1),
            (SECOND / 2, 0),
            (0 * SECOND, 0),
            (-SECOND, 0),
            (-HOUR, 0),
        ],
    )
    def test_policy_or_what_is_left(self, left, expected):
        """
        As long as the policy says, but not past the next update, and never
        less than nothing.
        """
        assert expected == max_age(ENDS, ENDS - left, HOUR)

    def test_without_an_end(self):
        """
        Without a next update only the policy counts.
        """
        assert 3600 == max_age(None, ENDS, HOUR)

    @settings(max_examples=40)
    @given(durations, durations.map(abs))
    def test_no_client_keeps_an_expired_document(self, left, policy):
        """
        When the age is over, the document has not expired, unless it had
        expired already.
        """
        now = ENDS - left
        over = now + max_age(ENDS, now, policy) * SECOND

        assert not is_expired(ENDS, over) or is_expired(ENDS, now)


class TestMaxAgeChanges:
    @pytest.mark.parametrize("left", [0.3, 1.3, 5.7])
    def test_fraction_of_a_second(self, left):
        """
        The answers hold until that instant, also between whole seconds.
        """
        ends = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
        hour = datetime.timedelta(hours=1)
        now = ends - datetime.timedelta(seconds=left)
        until = max_age_changes(ends, now, hour)
        assert until is not None

        just_before = until - datetime.timedelta(milliseconds=1)

        assert max_age(ends, now, hour) == max_age(ends, just_before, hour)
        assert is_expired(ends, now) == is_expired(ends, just_before)

    @pytest.mark.parametrize(
        ("left", "expected"),
        [
            (2 * HOUR, ENDS - HOUR),
            (HOUR + SECOND, ENDS - HOUR),
            (HOUR, ENDS - HOUR + SECOND),
            (SECOND, ENDS),
            (0 * SECOND, ENDS + SECOND),
            (-SECOND, None),
            (-HOUR, None),
        ],
    )
    def test_boundaries(self, left, expected):
        """
        First when the end comes nearer than the policy, then with every
        second, and no more when it is past.
        """
        assert expected == max_age_changes(ENDS, ENDS - left, HOUR)

    def test_without_an_end(self):
        """
        Without a next update the answer never changes.
        """
        assert max_age_changes(None, ENDS, HOUR) is None

    @settings(max_examples=60)
    @given(durations, durations.map(abs))
    def test_nothing_changes_before(self, left, policy):
        """
        At each second before that instant the answers are still the same.
        """
        now = ENDS - left
        changes = max_age_changes(ENDS, now, policy)
        end = now + 60 * SECOND if changes is None else changes

        seconds = int((end - now).total_seconds())
        answers = {
            (max_age(ENDS, at, policy), is_expired(ENDS, at))
            for at in (now + i * SECOND for i in range(seconds))
        }

        assert 1 == len(answers)
        assert changes is None or changes > now
