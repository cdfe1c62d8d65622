import datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.services import rate
from thim.services.rate import SourceRate


NOW = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)


def spend(sources, source, times, now=NOW):
    """
    Ask *times* times at once; return how often it was allowed.
    """
    return sum(sources.spend(source, now) for _ in range(times))


class TestRate:
    def test_at_once(self):
        """
        As many at once as in a minute, and no more.
        """
        assert 60 == spend(SourceRate(60), "192.0.2.1", 100)

    def test_looking_takes_nothing(self):
        """
        Whether something is left can be asked as often as one likes.
        """
        sources = SourceRate(2)
        asked = [sources.has_left("192.0.2.1", NOW) for _ in range(5)]
        spend(sources, "192.0.2.1", 2)

        assert [True] * 5 == asked
        assert not sources.has_left("192.0.2.1", NOW)
        assert sources.has_left("192.0.2.1", NOW + 30 * SECOND)

    def test_about(self):
        """
        A source may have several budgets, each about something else; the /64
        of an IPv6 address counts for each.
        """
        sources = SourceRate(1)
        sources.spend("2001:db8::1", NOW, " a")

        assert not sources.has_left("2001:db8::2", NOW, " a")
        assert sources.has_left("2001:db8::2", NOW, " b")
        assert sources.has_left("2001:db8::2", NOW)

    @pytest.mark.parametrize(
        ("later", "expected"), [(0.5, 0), (1, 1), (10, 10), (60, 60), (900, 60)]
    )
    def test_earned(self, later, expected):
        """
        As time goes by it may ask again, but never for more than a minute's.
        """
        sources = SourceRate(60)
        spend(sources, "192.0.2.1", 60)

        then = NOW + later * SECOND
        assert expected == spend(sources, "192.0.2.1", 100, then)

    def test_refused_costs_nothing(self):
        """
        Who asks in vain does not wait longer for it.
        """
        sources = SourceRate(60)
        spend(sources, "192.0.2.1", 1000)

        assert 1 == spend(sources, "192.0.2.1", 10, NOW + SECOND)

    def test_little_by_little(self):
        """
        Nor does one who asks in vain time and again.
        """
        sources = SourceRate(60)
        spend(sources, "192.0.2.1", 60)
        said = [
            sources.spend("192.0.2.1", NOW + i * SECOND / 8)
            for i in range(1, 17)
        ]

        assert [8, 16] == [i for i, is_so in enumerate(said, 1) if is_so]

    @given(
        st.integers(1, 5),
        st.lists(st.integers(0, 60), min_size=1, max_size=50),
    )
    def test_any_time(self, per_minute, pauses):
        """
        In no span of time is more allowed than a minute's, and what the span
        earns.
        """
        sources, now, allowed = SourceRate(per_minute), NOW, []
        for pause in pauses:
            now += pause * SECOND
            if sources.spend("192.0.2.1", now):
                allowed.append(now)

        for i, first in enumerate(allowed):
            for count, last in enumerate(allowed[i:], 1):
                minutes = (last - first) / (60 * SECOND)
                assert count <= per_minute * (1 + minutes) + 1e-6


class TestSource:
    @pytest.mark.parametrize(
        ("first", "second", "is_same"),
        [
            ("192.0.2.1", "192.0.2.1", True),
            ("192.0.2.1", "192.0.2.2", False),
            ("2001:db8::1", "2001:db8::ffff:1", True),
            ("2001:db8:0:0:1::", "2001:db8::", True),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
            ("::ffff:192.0.2.1", "192.0.2.1", True),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
            ("::ffff:192.0.2.1", "::ffff:c000:201", True),
            ("fe80::1%eth0", "fe80::2%eth1", True),
            ("unix", "unix", True),
            ("", "unix", False),
        ],
    )
    def test_same(self, first, second, is_same):
        """
        Each address has its own budget, an IPv6 network of 64 bits one
        together, and an IPv4 address the same however it is written.
        """
        sources = SourceRate(1)

        assert sources.spend(first, NOW)
        assert is_same is not sources.spend(second, NOW)

    def test_bounded(self):
        """
        However many sources there are, memory is bounded: the one that has
        been silent for longest is forgotten.
        """
        sources = SourceRate(1)
        names = [
            f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(15_000)
        ]
        for name in names:
            sources.spend(name, NOW)

        assert rate._MOST_SOURCES == len(sources._spent)
        assert (True, False) == (
            sources.spend(names[0], NOW),
            sources.spend(names[-1], NOW),
        )


class TestClock:
    def test_set_back(self):
        """
        A clock that is set back gives nothing away, and takes nothing.
        """
        sources = SourceRate(60)
        spend(sources, "192.0.2.1", 60)
        back = NOW - 3600 * SECOND

        assert 0 == spend(sources, "192.0.2.1", 10, back)
        assert 1 == spend(sources, "192.0.2.1", 10, back + SECOND)
