import datetime

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.collateral.freshness import (
    State,
    find_state,
    is_expired,
    max_age,
    max_age_changes,
    next_channel_look,
    next_look,
    next_try,
    stale_after,
)
from thim.collateral.records import Kind
from thim.simulate.pki import ISSUED


SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)
ENDS = ISSUED
durations = st.integers(-30, 30).map(lambda n: n * SECOND)
DAY = datetime.timedelta(days=1)
INSTANT = datetime.timedelta(microseconds=1)
NEWS = {
    Kind.PCK_CRL: DAY,
    Kind.ROOT_CA_CRL: DAY,
    Kind.TCB_EVALUATION_DATA_NUMBERS: DAY / 2,
    Kind.FMSPCS: DAY,
}
lives = st.integers(1, 400 * 24).map(lambda n: n * HOUR)
draws = st.floats(0, 1)


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


class TestState:
    @pytest.mark.parametrize(
        ("age", "expected"),
        [
            (-DAY, State.FRESH),
            (0 * DAY, State.FRESH),
            (10 * DAY, State.FRESH),
            (10 * DAY + INSTANT, State.DUE),
            (20 * DAY, State.DUE),
            (20 * DAY + INSTANT, State.STALE),
            (30 * DAY, State.STALE),
            (30 * DAY + INSTANT, State.EXPIRED),
            (900 * DAY, State.EXPIRED),
        ],
    )
    def test_boundaries(self, age, expected):
        """
        Fresh for a third of its life, due for the next, stale for the last;
        each instant in between belongs to the better state.
        """
        issued = ENDS - 30 * DAY

        assert expected is find_state(issued, ENDS, issued + age)

    def test_without_an_end(self):
        """
        A document without a next update stays fresh.
        """
        assert State.FRESH is find_state(ENDS, None, ENDS + 9000 * DAY)

    def test_stale_after(self):
        """
        It is stale after two thirds of its life.
        """
        assert ENDS - 10 * DAY == stale_after(ENDS - 30 * DAY, ENDS)

    @given(lives, st.floats(-1, 2))
    def test_expired(self, life, part):
        """
        A document is in the state expired when it has expired, and in no
        other state then.
        """
        now = ENDS + life * part
        state = find_state(ENDS - life, ENDS, now)

        assert is_expired(ENDS, now) == (state is State.EXPIRED)


class TestNextLook:
    @pytest.mark.parametrize(
        ("kind", "life", "age", "expected"),
        [
            (Kind.TCB_INFO, 30 * DAY, 0 * DAY, 10 * DAY),
            (Kind.IDENTITY, 30 * DAY, 3 * DAY, 9 * DAY),
            (Kind.TCB_INFO, 30 * DAY, 15 * DAY, 5 * DAY),
            (Kind.TCB_INFO, 3 * HOUR, 0 * DAY, HOUR),
            (Kind.TCB_INFO, 2 * HOUR, 0 * DAY, HOUR),
            (Kind.TCB_INFO, 30 * DAY, 31 * DAY, HOUR),
            (Kind.TCB_INFO, 900 * DAY, 0 * DAY, 30 * DAY),
            (Kind.PCK_CRL, 30 * DAY, 0 * DAY, DAY),
            (Kind.PCK_CRL, 30 * DAY, 29 * DAY, 8 * HOUR),
            (Kind.ROOT_CA_CRL, 365 * DAY, 0 * DAY, DAY),
            (Kind.TCB_EVALUATION_DATA_NUMBERS, 30 * DAY, 0 * DAY, DAY / 2),
        ],
    )
    def test_plan(self, kind, life, age, expected):
        """
        After a third of what is left of its life, and what brings news after a
        day or half of one; not within the hour.
        """
        now = ENDS - life + age

        assert now + expected == next_look(kind, ENDS, now, 0)

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [(Kind.FMSPCS, DAY), (Kind.TCB_INFO, 30 * DAY)],
    )
    def test_without_an_end(self, kind, expected):
        """
        What has no next update is looked at too.
        """
        assert ENDS + expected == next_look(kind, None, ENDS, 0)

    @given(st.sampled_from(Kind), lives, st.floats(0, 2), draws)
    def test_bounds(self, kind, life, part, draw):
        """
        Never in the past, nor later than a third of what is left or than the
        kind may wait, unless that is within the hour.
        """
        now = ENDS - life + life * part
        wait = next_look(kind, ENDS, now, draw) - now
        most = min(life / 3, (ENDS - now) / 3, NEWS.get(kind, life))

        assert 0.69 * HOUR < wait
        assert wait <= max(most, HOUR)

    @given(st.sampled_from(Kind), lives, draws)
    def test_jitter(self, kind, life, draw):
        """
        Jitter only makes it earlier, and by no more than 30 %.
        """
        issued = ENDS - life
        latest = next_look(kind, ENDS, issued, 0) - issued
        wait = next_look(kind, ENDS, issued, draw) - issued

        assert 0.7 * latest - SECOND < wait
        assert wait <= latest

    @given(st.sampled_from(Kind), st.integers(4, 9000), draws)
    def test_before_it_is_stale(self, kind, hours, draw):
        """
        What is looked at in time is renewed before it is stale.
        """
        life = hours * HOUR
        issued = ENDS - life
        look = next_look(kind, ENDS, issued, draw)

        assert look < stale_after(issued, ENDS)

    @given(draws)
    def test_channel(self, draw):
        """
        What a channel points to is looked at within half a day.
        """
        wait = next_channel_look(ENDS, draw) - ENDS

        assert 8 * HOUR < wait
        assert wait <= 12 * HOUR


class TestNextTry:
    @pytest.mark.parametrize(
        ("failures", "minutes"),
        [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 4),
            (6, 32),
            (7, 60),
            (8, 60),
            (1_000_000, 60),
        ],
    )
    def test_growth(self, failures, minutes):
        """
        The wait doubles with each failure, up to an hour.
        """
        expected = ENDS + minutes * datetime.timedelta(minutes=1)

        assert expected == next_try(failures, ENDS, 0)

    @given(st.integers(0, 100), draws)
    def test_jitter(self, failures, draw):
        """
        Jitter only makes it earlier, and by no more than 30 %.
        """
        latest = next_try(failures, ENDS, 0) - ENDS
        wait = next_try(failures, ENDS, draw) - ENDS

        assert 0.7 * latest - SECOND < wait
        assert wait <= latest
