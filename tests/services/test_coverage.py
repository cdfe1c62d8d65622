from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.services.made import KEY, day
from thim.collateral.records import pck_crl_key
from thim.intel.names import PckCa
from thim.services.coverage import Gap, find_coverage
from thim.store.replica import Entry


def make_entry(begin: int, end: int | None, *, number=17, key=KEY) -> Entry:
    """
    Make an entry that is valid from day *begin* to day *end*.
    """
    return Entry(
        key=key,
        evaluation_number=number,
        issued=day(begin),
        next_update=None if end is None else day(end),
        sha256=bytes(32),
        size=1,
        source="-",
        is_head=False,
    )


def cover(*spans: tuple[int, int | None]):
    """
    Return the coverage of one series.
    """
    (found,) = find_coverage([make_entry(*span) for span in spans])
    return found


class TestFindCoverage:
    def test_nothing(self):
        """
        An empty archive covers nothing.
        """
        assert [] == find_coverage([])

    def test_single(self):
        """
        One document covers its own life.
        """
        found = cover((0, 30))

        assert (KEY, 17, 1) == (
            found.key,
            found.evaluation_number,
            found.documents,
        )
        assert (day(0), day(30), ()) == (found.begin, found.end, found.gaps)

    def test_any_order(self):
        """
        The newest may come first.
        """
        assert cover((0, 30), (50, 80)) == cover((50, 80), (0, 30))

    def test_gap(self):
        """
        Between a next update and the next issue date nothing was valid.
        """
        found = cover((0, 30), (40, 70))

        assert (Gap(begin=day(30), end=day(40)),) == found.gaps
        assert (day(0), day(70)) == (found.begin, found.end)

    def test_adjacent(self):
        """
        A document that is issued when another ends leaves no gap.
        """
        assert () == cover((0, 30), (30, 60)).gaps

    def test_overlap(self):
        """
        Documents that overlap leave none either.
        """
        found = cover((0, 30), (10, 40), (35, 65))

        assert (3, ()) == (found.documents, found.gaps)

    def test_longer_life_of_an_older_one(self):
        """
        A document that outlives a newer one covers what comes after it.
        """
        found = cover((0, 100), (10, 20), (90, 95), (110, 120))

        assert (Gap(begin=day(100), end=day(110)),) == found.gaps
        assert day(120) == found.end

    def test_last_ends_first(self):
        """
        The end is the last of all next updates, not that of the last issued.
        """
        assert day(100) == cover((0, 100), (10, 20)).end

    def test_without_next_update(self):
        """
        Documents that never expire have no end and no gaps.
        """
        found = cover((0, None), (300, None))

        assert (None, ()) == (found.end, found.gaps)

    def test_some_without_next_update(self):
        """
        One that never expires covers all that comes after it.
        """
        assert () == cover((0, 10), (5, None), (50, 60)).gaps

    def test_series_are_apart(self):
        """
        Each key and number is covered for itself.
        """
        platform = pck_crl_key(PckCa.PLATFORM)
        found = find_coverage(
            [
                make_entry(0, 10, key=platform, number=None),
                make_entry(20, 30, number=17),
                make_entry(40, 50, number=17),
                make_entry(0, 10, number=18),
            ]
        )

        assert [(platform, None, 0), (KEY, 17, 1), (KEY, 18, 0)] == [
            (c.key, c.evaluation_number, len(c.gaps)) for c in found
        ]

    @given(
        st.lists(
            st.tuples(st.integers(0, 50), st.integers(1, 20)),
            min_size=1,
            max_size=12,
            unique_by=lambda span: span[0],
        )
    )
    def test_gaps_are_where_nothing_is_valid(self, spans):
        """
        An instant between begin and end lies in a gap exactly if no document
        is valid at it.
        """
        lives = [(day(b), day(b + length)) for b, length in sorted(spans)]
        found = cover(*((b, b + length) for b, length in sorted(spans)))
        begin, end = lives[0][0], max(end for _, end in lives)

        for half in range(1, 2 * (end - begin).days, 2):
            instant = begin + timedelta(hours=12 * half)
            is_valid = any(b <= instant <= e for b, e in lives)
            in_gap = any(g.begin < instant < g.end for g in found.gaps)
            assert is_valid != in_gap
