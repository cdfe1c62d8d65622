import itertools

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.attestation.signing import DAY, HOUR, NOW, a_key
from thim.attestation.signing_key import (
    KEPT,
    LEAD,
    LIFE,
    KeyState,
    find_coming,
    find_current,
    find_state,
    is_successor_due,
    list_published,
)


ONE = a_key("one", NOW)
TWO = a_key("two", NOW + 90 * DAY, created=NOW + 89 * DAY)
KEYS = (ONE, TWO)
SECOND = HOUR / 3600


def kids(keys):
    """
    Return by what keys are known.
    """
    return [key.kid for key in keys]


class TestCurrent:
    @pytest.mark.parametrize(
        ("later", "expected"),
        [
            (-SECOND, None),
            (0 * DAY, ONE),
            (90 * DAY - SECOND, ONE),
            (90 * DAY, TWO),
            (9000 * DAY, TWO),
        ],
    )
    def test_last_begun(self, later, expected):
        """
        The last one that has begun signs; before the first there is none.
        """
        assert expected is find_current(KEYS, NOW + later)

    def test_none(self):
        """
        Without keys nothing signs.
        """
        assert find_current((), NOW) is None

    def test_revoked(self):
        """
        Where the last one was revoked none signs: not the one before it.
        """
        two = a_key("two", NOW + DAY, revoked=NOW + 2 * DAY)

        assert find_current((ONE, two), NOW + 3 * DAY) is None

    def test_replaced(self):
        """
        Another one that begins then takes its place.
        """
        two = a_key("two", NOW + DAY, revoked=NOW + 2 * DAY)
        three = a_key("three", NOW + 2 * DAY)

        assert three is find_current((ONE, two, three), NOW + 3 * DAY)

    def test_cancelled(self):
        """
        One that was revoked before it began has never taken over.
        """
        two = a_key("two", NOW + 2 * DAY, revoked=NOW + DAY)

        assert ONE is find_current((ONE, two), NOW + 3 * DAY)
        assert KeyState.SIGNING is find_state(ONE, (ONE, two), NOW + 3 * DAY)

    def test_revoked_at_once(self):
        """
        One that was revoked at the instant at which it began has taken over.
        """
        two = a_key("two", NOW + DAY, revoked=NOW + DAY)

        assert find_current((ONE, two), NOW + DAY) is None

    def test_made_later(self):
        """
        Keys sign in the order in which they begin, whenever they were made.
        """
        two = a_key("two", NOW + DAY, created=NOW - DAY)

        assert two is find_current((ONE, two), NOW + DAY)


class TestComing:
    def test_next(self):
        """
        The next one to begin comes, if it was not revoked.
        """
        three = a_key("three", NOW + 50 * DAY, revoked=NOW)
        four = a_key("four", NOW + 99 * DAY)

        assert TWO is find_coming((*KEYS, three, four), NOW)
        assert find_coming(KEYS, NOW + 90 * DAY) is None


class TestPublished:
    @pytest.mark.parametrize(
        ("later", "expected"),
        [
            (0 * DAY, ["one", "two"]),
            (90 * DAY - SECOND, ["one", "two"]),
            (90 * DAY, ["two", "one"]),
            (90 * DAY + KEPT - SECOND, ["two", "one"]),
            (90 * DAY + KEPT, ["two"]),
        ],
    )
    def test_overlap(self, later, expected):
        """
        A key is published before it signs and until its tokens are over; the
        one that signs comes first.
        """
        assert expected == kids(list_published(KEYS, NOW + later))

    def test_kept(self):
        """
        That is an hour more than a token holds.
        """
        assert 9 * HOUR == KEPT

    def test_revoked(self):
        """
        A revoked key is gone at once, and the one before it does not come
        back.
        """
        two = a_key("two", NOW + DAY, revoked=NOW + 20 * DAY)
        keys = (ONE, two)

        assert [] == list_published(keys, NOW + 20 * DAY)
        assert [
            KeyState.RETIRED,
            KeyState.REVOKED,
        ] == [find_state(key, keys, NOW + 20 * DAY) for key in keys]

    @given(
        st.lists(
            st.tuples(st.integers(0, 60), st.none() | st.integers(0, 60)),
            max_size=6,
        ),
        st.integers(0, 80),
    )
    def test_signing_is_published(self, spans, later):
        """
        Whatever happened: what signs is published, and just one is said to
        sign; what was revoked is neither.
        """
        keys = [
            a_key(
                str(n),
                NOW + begin * HOUR,
                revoked=None if end is None else NOW + end * HOUR,
            )
            for n, (begin, end) in enumerate(spans)
        ]
        now = NOW + later * HOUR
        current, published = find_current(keys, now), list_published(keys, now)
        signing = [
            key
            for key in keys
            if find_state(key, keys, now) is KeyState.SIGNING
        ]

        assert ([] if current is None else [current]) == signing
        assert signing == list(published[: len(signing)])
        assert all(key.revoked is None for key in published)

    @given(st.lists(st.integers(1, 200), min_size=1, max_size=6))
    def test_tokens_can_be_verified(self, gaps):
        """
        Whoever has a token finds its key published for as long as it holds.
        """
        begins = list(itertools.accumulate(gaps))
        keys = [a_key(str(n), NOW + at * HOUR) for n, at in enumerate(begins)]
        for hours in range(begins[0], begins[-1] + 24):
            signed = find_current(keys, NOW + hours * HOUR)
            end = NOW + (hours + 8) * HOUR
            assert signed in list_published(keys, end)


class TestSuccessor:
    def due(self, keys, later):
        """
        Tell whether the next key is to be made.
        """
        return is_successor_due(keys, NOW + later, LIFE, LEAD)

    def test_in_time(self):
        """
        It is made a day before the end of the one that signs.
        """
        assert not self.due([ONE], 89 * DAY - SECOND)
        assert self.due([ONE], 89 * DAY)
        assert self.due([ONE], 400 * DAY)

    def test_once(self):
        """
        And once.
        """
        assert not self.due(KEYS, 89 * DAY)

    def test_far_future(self):
        """
        One that a clock far ahead has left for later does not count.
        """
        far = a_key("far", NOW + 9000 * DAY)

        assert self.due([ONE, far], 89 * DAY)
        assert not self.due([ONE, far], 88 * DAY)

    def test_none(self):
        """
        Where nothing signs there is nothing to come after.
        """
        assert not self.due([], 0 * DAY)
