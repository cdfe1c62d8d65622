import datetime

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.collateral.records import Stamp
from thim.collateral.transition import Transition, transition
from thim.simulate.pki import ISSUED


SECOND = datetime.timedelta(seconds=1)


def stamp(seconds=0, digest=b"a"):
    """
    Make a stamp, issued some seconds after all others.
    """
    return Stamp(issued=ISSUED + seconds * SECOND, signed_sha256=digest)


stamps = st.builds(
    stamp, seconds=st.integers(-2, 2), digest=st.sampled_from([b"a", b"b"])
)


class TestTransition:
    def test_first(self):
        """
        The first document of a series is newer than nothing.
        """
        assert Transition.NEWER is transition(stamp(), head=None, twin=None)

    def test_later(self):
        """
        A later issue date is newer.
        """
        actual = transition(stamp(1, b"b"), head=stamp(), twin=None)

        assert Transition.NEWER is actual

    def test_signed_again_later(self):
        """
        So is the same content under a later date: its bytes differ in it.
        """
        actual = transition(stamp(86400), head=stamp(), twin=None)

        assert Transition.NEWER is actual

    def test_earlier(self):
        """
        An earlier one that is not archived yet is older.
        """
        actual = transition(stamp(-1, b"b"), head=stamp(), twin=None)

        assert Transition.OLDER is actual

    def test_equal_to_the_head(self):
        """
        The same signed bytes again are equal.
        """
        assert Transition.EQUAL is transition(
            stamp(), head=stamp(), twin=stamp()
        )

    def test_equal_to_the_head_alone(self):
        """
        That holds also where only the head is known.
        """
        assert Transition.EQUAL is transition(stamp(), head=stamp(), twin=None)

    def test_equal_to_an_archived_one(self):
        """
        An old document that comes again is equal, not older.
        """
        actual = transition(stamp(-1), head=stamp(), twin=stamp(-1))

        assert Transition.EQUAL is actual

    def test_fork_of_the_head(self):
        """
        Other bytes with the head's date contradict it.
        """
        for twin in (None, stamp()):
            actual = transition(stamp(0, b"b"), head=stamp(), twin=twin)
            assert Transition.FORK is actual

    def test_fork_of_an_archived_one(self):
        """
        Other bytes with an archived document's date contradict that.
        """
        actual = transition(stamp(-1, b"b"), head=stamp(), twin=stamp(-1))

        assert Transition.FORK is actual

    def test_fork_where_there_is_no_head(self):
        """
        Documents that are never served can contradict each other too.
        """
        actual = transition(stamp(0, b"b"), head=None, twin=stamp())

        assert Transition.FORK is actual

    @pytest.mark.parametrize("microseconds", [1, 999_999])
    def test_fractions_of_a_second_count(self, microseconds):
        """
        Version 1 has them: a little later is later.
        """
        later = Stamp(
            issued=ISSUED + datetime.timedelta(microseconds=microseconds),
            signed_sha256=b"b",
        )

        assert Transition.NEWER is transition(later, head=stamp(), twin=None)

    @settings(max_examples=60)
    @given(stamps, stamps)
    def test_is_never_newer_both_ways(self, one, other):
        """
        Of two documents at most one is newer; neither is, where dates agree.
        """
        there = transition(one, head=other, twin=None)
        back = transition(other, head=one, twin=None)

        opposite = {
            Transition.NEWER: Transition.OLDER,
            Transition.OLDER: Transition.NEWER,
        }
        assert back is opposite.get(there, there)

    @settings(max_examples=60)
    @given(st.permutations([stamp(i, bytes([i])) for i in range(5)]))
    def test_the_order_of_arrival_does_not_matter(self, arriving):
        """
        However documents arrive, the latest becomes the head.
        """
        head = None
        for candidate in arriving:
            verdict = transition(candidate, head=head, twin=None)
            if verdict is Transition.NEWER:
                head = candidate

        assert stamp(4, b"\4") == head
