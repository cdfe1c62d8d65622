import itertools

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.baseline.numbers import (
    AT_17,
    DAY,
    EVENTS,
    TO_18,
    TO_20,
    early,
    number_list,
    on,
    seen,
    standard,
)
from thim.baseline.history import (
    Arrival,
    DocumentDates,
    NumberHistory,
    find_signed,
    make_history,
    read_lists,
)
from thim.intel.names import Tee


START = on("2025-03-28")


def lists(*numbers, tee=Tee.SGX):
    """
    One list a day.
    """
    return [
        number_list(START + n * DAY, ns, tee) for n, ns in enumerate(numbers)
    ]


def summed(archived):
    """
    Sum lists up.
    """
    return read_lists(archived)


def made(listed, sightings, documents):
    """
    Make a history.
    """
    return make_history(listed, sightings, documents)


class TestLists:
    def test_dates_of_a_number(self):
        """
        Its TCB recovery event and TCB date are the vendor's.
        """
        found = summed(lists([18, 17]))[18]

        assert EVENTS[18] == found.recovery_event
        assert EVENTS[18] + DAY == found.tcb_date

    def test_corrected_dates(self):
        """
        Where the vendor has corrected itself the newest list counts.
        """
        before = number_list(START, [18], events={18: START})
        found = summed([number_list(START + DAY, [18]), before])

        assert EVENTS[18] == found[18].recovery_event

    def test_first_and_last(self):
        """
        First and last are over the lists of both TEEs.
        """
        sgx = lists([17], [18], [18, 17])
        tdx = lists([18], [17], [17], [17], tee=Tee.TDX)

        found = summed(sgx + tdx)

        assert (START, START + 3 * DAY) == (
            found[17].first_listed,
            found[17].last_listed,
        )
        assert (START, START + 2 * DAY) == (
            found[18].first_listed,
            found[18].last_listed,
        )

    def test_signed_by_both(self):
        """
        What the newest list of each TEE names is signed now.
        """
        found = summed(lists([17], [18, 17]) + lists([19, 18], tee=Tee.TDX))

        assert [18] == [n for n, entry in found.items() if entry.is_signed_now]

    def test_withdrawn(self):
        """
        A number is withdrawn when the first list comes that has it no more.
        """
        found = summed(
            lists([17, 18], [17, 18], [18], [18])
            + lists([17, 18], [18], tee=Tee.TDX)
        )

        assert START + DAY == found[17].withdrawn
        assert found[18].withdrawn is None

    def test_returned(self):
        """
        One that came back is not withdrawn.
        """
        found = summed(lists([17, 18], [18], [17, 18]))

        assert found[17].withdrawn is None
        assert found[17].is_signed_now

    def test_listed_for_one_tee_only(self):
        """
        One that only one TEE has ever had is neither signed nor withdrawn.
        """
        found = summed(lists([18]) + lists([18, 13], tee=Tee.TDX))

        assert not found[13].is_signed_now
        assert found[13].withdrawn is None
        assert START == found[13].first_listed

    def test_no_list(self):
        """
        Without any list nothing is said.
        """
        assert {} == summed([])


class TestFindSigned:
    @pytest.mark.parametrize(
        ("newest", "expected"),
        [
            ([], set()),
            ([{17, 18}], {17, 18}),
            ([{17, 18}, {18, 19}], {18}),
            ([{17, 18}, {19, 20}], {17, 18, 19, 20}),
        ],
    )
    def test_find_signed(self, newest, expected):
        """
        It is what all TEEs share; where they share nothing, what either has.
        """
        assert expected == find_signed(newest)


class TestChannels:
    def test_promoted(self):
        """
        A number is promoted when ``standard`` is first seen at it.
        """
        history = seen(AT_17, TO_18, TO_20)

        expected = Arrival(seen=TO_18.seen, number=18, before=17)
        assert expected == history[18].promotion
        assert expected == history[18].own_promotion
        assert TO_18.seen == history[18].promoted
        assert not history[18].is_skipped

    def test_passed_over(self):
        """
        19 was passed over: it is said when, and that it was no promotion of
        its own.
        """
        history = seen(AT_17, TO_18, TO_20)

        assert TO_20.seen == history[19].promoted
        assert history[19].is_skipped
        assert history[19].own_promotion is None
        assert 20 == history[19].promotion.number

    def test_first_sighting(self):
        """
        Where a channel stood when it was first looked at is no move; older
        numbers were not passed over for all that is known.
        """
        history = seen(TO_18, TO_20)

        assert not history[18].promotion.is_move
        assert history[20].promotion.is_move
        assert TO_18.seen == history[17].promoted
        assert not history[17].is_skipped

    def test_not_promoted(self):
        """
        Beyond what was seen there is no promotion.
        """
        history = seen(AT_17, TO_18)

        assert history[19].promotion is None
        assert history[19].promoted is None
        assert history[19].own_promotion is None
        assert not history[19].is_skipped

    def test_never_seen(self):
        """
        What can be inferred from the calendar does not count.
        """
        assert {None} == {entry.promoted for entry in seen().values()}

    def test_early(self):
        """
        ``early`` is told apart.
        """
        history = seen(early(20, "2025-08-13"), TO_18)

        assert on("2025-08-13") == history[20].early
        assert history[20].promoted is None
        assert TO_18.seen == history[18].promoted
        assert on("2025-08-13") == history[18].early
        assert seen()[20].early is None

    def test_taken_back(self):
        """
        What somebody better informed has overruled never happened.
        """
        history = seen(AT_17, standard(20, "2025-06-01"), TO_18)

        assert history[20].promoted is None
        assert (
            Arrival(seen=TO_18.seen, number=18, before=17)
            == history[18].promotion
        )

    def test_taken_back_to_the_same(self):
        """
        A channel that never moved is seen since it first was.
        """
        again = standard(17, "2025-07-01")
        history = seen(AT_17, standard(20, "2025-06-01"), again)

        assert AT_17.seen == history[17].promoted

    def test_told_twice(self):
        """
        Being told again is no news.
        """
        assert seen(AT_17, TO_18) == seen(
            AT_17, TO_18, standard(18, "2026-01-01")
        )


class TestMakeHistory:
    def test_every_number(self):
        """
        Numbers are known from lists, channels and documents alike, and stand
        in order.
        """
        dates = DocumentDates(issued=START, next_update=START + 30 * DAY)
        history = made(
            summed(lists([18, 17])),
            [early(22, "2025-09-01")],
            {10: dates, 18: dates},
        )

        assert [10, 17, 18, 22] == list(history)

    def test_documents_alone(self):
        """
        Of a number of which there are but documents their dates are known.
        """
        dates = DocumentDates(issued=START, next_update=None)

        expected = NumberHistory(number=10, newest_issued=START)
        assert {10: expected} == made({}, [], {10: dates})

    def test_documents_of_a_listed_number(self):
        """
        They stand beside what the lists say.
        """
        dates = DocumentDates(issued=START, next_update=START + 30 * DAY)
        history = made(summed(lists([18])), [], {18: dates})

        assert EVENTS[18] == history[18].recovery_event
        assert START + 30 * DAY == history[18].newest_next_update


numbers = st.sets(st.sampled_from(sorted(EVENTS)), min_size=1)
archives = st.dictionaries(
    st.tuples(st.integers(0, 20), st.sampled_from(Tee)), numbers, max_size=12
).map(
    lambda found: [
        number_list(START + day * DAY, sorted(ns), tee)
        for (day, tee), ns in found.items()
    ]
)


class TestProperties:
    @settings(max_examples=80)
    @given(
        archives.flatmap(lambda a: st.tuples(st.just(a), st.permutations(a)))
    )
    def test_order_of_arrival(self, archived):
        """
        In which order lists arrived does not matter.
        """
        one, other = archived

        assert summed(one) == summed(other)

    @settings(max_examples=80)
    @given(archives)
    def test_agrees_with_itself(self, archived):
        """
        No number is signed and withdrawn; each was listed first before last,
        and is withdrawn after some list had it.
        """
        for entry in summed(archived).values():
            assert entry.first_listed <= entry.last_listed
            assert not (entry.is_signed_now and entry.withdrawn)
            assert entry.withdrawn is None or (
                entry.first_listed < entry.withdrawn
            )

    @settings(max_examples=80)
    @given(archives, numbers)
    def test_another_list(self, archived, more):
        """
        A newer list moves no first date, and takes no number away.
        """
        before = summed(archived)
        newer = number_list(START + 30 * DAY, sorted(more))
        after = summed([*archived, newer])

        assert before.keys() <= after.keys()
        for number, entry in before.items():
            assert entry.first_listed == after[number].first_listed

    @settings(max_examples=80)
    @given(st.lists(st.integers(10, 25), max_size=8))
    def test_newer_is_never_promoted_before(self, told):
        """
        Whatever was told, a newer number is promoted no earlier, and where
        the channel was told to be last counts.
        """
        history = made(
            {},
            [
                standard(number, f"2026-01-{day + 1:02}")
                for day, number in enumerate(told)
            ],
            dict.fromkeys(
                range(10, 26), DocumentDates(issued=START, next_update=None)
            ),
        )
        promoted = [n for n in history if history[n].promoted is not None]

        assert max(promoted, default=None) == (told[-1] if told else None)
        for one, other in itertools.pairwise(promoted):
            assert history[one].promoted <= history[other].promoted
