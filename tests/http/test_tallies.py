"""
What a worker counts.
"""

import contextlib

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.errors import MalformedError
from thim.http.tallies import (
    ANSWERS,
    BOUNDS,
    BUCKET,
    BUDGET,
    MICROSECONDS,
    MOST_TENANTS,
    REQUESTS,
    VERDICTS,
    Meters,
    Sheet,
    Tallies,
    add_up,
    read_sheet,
    write_sheet,
)


KEYS = st.lists(st.text(max_size=5), min_size=1, max_size=3).map(tuple)
COUNTS = st.dictionaries(KEYS, st.integers(0, 2**40), max_size=5)
SHEETS = st.builds(
    lambda counts, gauges: Sheet(counts=tuple(counts.items()), gauges=gauges),
    COUNTS,
    st.dictionaries(st.text(max_size=5), st.integers(0, 2**40), max_size=3),
)


def counted(tallies):
    """
    Return what was counted.
    """
    return dict(tallies.gather().counts)


class TestTallies:
    def test_request(self):
        """
        A request is counted by family, tenant and class of status, in the
        class of its latency, and with its time.
        """
        tallies = Tallies()
        tallies.count_request("pcs", "acme", 404, 0.0051)
        tallies.count_request("pcs", "acme", 404, 0.0049)

        expected = {
            (REQUESTS, "pcs", "acme", "4xx"): 2,
            (BUCKET, "pcs", str(BOUNDS.index(0.005))): 1,
            (BUCKET, "pcs", str(BOUNDS.index(0.01))): 1,
            (MICROSECONDS, "pcs"): 10_000,
        }
        assert expected == counted(tallies)

    @pytest.mark.parametrize("place", range(len(BOUNDS)))
    def test_bounds(self, place):
        """
        A bound belongs to its own class, as Prometheus has it.
        """
        tallies = Tallies()
        tallies.count_request("pcs", "acme", 200, BOUNDS[place])

        assert 1 == counted(tallies)[BUCKET, "pcs", str(place)]

    def test_slowest(self):
        """
        What takes longer than all bounds has a class of its own.
        """
        tallies = Tallies()
        tallies.count_request("pcs", "acme", 200, 11.0)

        assert 1 == counted(tallies)[BUCKET, "pcs", str(len(BOUNDS))]

    def test_tenants(self):
        """
        So many tenants are told apart; those who come later are counted
        together, and those known stay known.
        """
        tallies = Tallies()
        names = [f"t{n}" for n in range(MOST_TENANTS)]

        assert names == [tallies.name_tenant(name) for name in names]
        assert "other" == tallies.name_tenant("late")
        assert "t0" == tallies.name_tenant("t0")

    def test_answers(self):
        """
        A vendor's answer is counted by its code, and what was not sent apart.
        """
        tallies = Tallies()
        tallies.count_answer("https://x:443", "429")
        tallies.count_answer("https://x:443", "not-now")

        expected = {
            (ANSWERS, "https://x:443", "429"): 1,
            (BUDGET, "https://x:443"): 1,
        }
        assert expected == counted(tallies)

    def test_verdict(self):
        """
        An attestation is counted by what the TCB was worth.
        """
        tallies = Tallies()
        tallies.count_verdict("TdxVm", "UpToDate", "acme")

        expected = {(VERDICTS, "TdxVm", "UpToDate", "acme"): 1}
        assert expected == counted(tallies)

    def test_sources(self):
        """
        What others keep is gathered, and does not grow by being asked for.
        """
        tallies, meters = Tallies(), Meters()
        tallies.add_source(lambda: Sheet(counts=meters.read("hits")))
        tallies.count_request("pcs", "acme", 200, 0)
        meters.find("pcs", "acme").hits += 4

        assert counted(tallies) == counted(tallies)
        assert 5 == counted(tallies)[REQUESTS, "pcs", "acme", "2xx"]
        assert 4 == counted(tallies)["hits",]


class TestSheet:
    @given(SHEETS)
    def test_written(self, sheet):
        """
        What was written is read.
        """
        assert sheet == read_sheet(write_sheet(sheet))

    @given(st.binary(max_size=60))
    def test_nonsense(self, body):
        """
        Nonsense is an error, and no other.
        """
        with contextlib.suppress(MalformedError):
            read_sheet(body)

    @given(SHEETS, SHEETS, SHEETS)
    def test_sum(self, mine, living, gone):
        """
        Counts of all workers are added up; of what was held by those that
        have ended nothing is left.
        """
        found = add_up(mine, [living], [gone])

        sheets = [dict(s.counts) for s in (mine, living, gone)]
        for key, count in found.counts:
            assert count == sum(sheet.get(key, 0) for sheet in sheets)
        for name, value in found.gauges.items():
            held = mine.gauges.get(name, 0) + living.gauges.get(name, 0)
            assert value == held
