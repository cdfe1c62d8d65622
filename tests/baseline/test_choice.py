"""
Which number a rule comes to.
"""

import dataclasses

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.baseline.test_select import (
    DAY,
    EARLY,
    EMPTY,
    LANDSCAPE,
    NOW,
    SECOND,
    UNSEEN,
    UNSIGNED,
    YEAR,
)
from tests.baseline.test_select_tenant import DATED, answer, never
from tests.tenants import Decisions
from thim.baseline.choice import Choice, choose
from thim.baseline.history import NumberHistory
from thim.baseline.model import (
    Baseline,
    Channel,
    Landscape,
    Number,
    Trailing,
)
from thim.baseline.select import find_baseline
from thim.errors import NotFoundError
from thim.intel.names import Update
from thim.simulate.pki import NUMBERS


class TestChannel:
    @pytest.mark.parametrize(
        ("name", "number"), [("early", 22), ("standard", 20)]
    )
    def test_as_seen(self, name, number):
        """
        A channel that was seen is the vendor's word, until it is seen anew.
        """
        choice = choose(find_baseline(name), LANDSCAPE, NOW)

        assert Choice(number=number, baseline=name) == choice

    def test_one_seen_says_nothing_of_the_other(self):
        """
        Where only early was seen, standard is inferred.
        """
        seen = dataclasses.replace(LANDSCAPE, channels={EARLY: 22})

        choice = choose(find_baseline("standard"), seen, NOW)

        assert choice.inferred
        assert 17 == choice.number

    def test_early_inferred(self):
        """
        Unseen, early is the newest number that the vendor signs.
        """
        choice = choose(find_baseline("early"), UNSEEN, NOW)

        assert Choice(number=20, baseline="early", inferred=True) == choice

    @pytest.mark.parametrize(
        ("now", "number", "until"),
        [
            (NUMBERS[17] + YEAR - SECOND, 17, NUMBERS[17] + YEAR),
            (NUMBERS[17] + YEAR, 17, NUMBERS[18] + YEAR),
            (NUMBERS[18] + YEAR - SECOND, 17, NUMBERS[18] + YEAR),
            (NUMBERS[18] + YEAR, 18, NUMBERS[19] + YEAR),
            (NUMBERS[19] + YEAR, 19, NUMBERS[20] + YEAR),
            (NUMBERS[20] + YEAR, 20, None),
        ],
    )
    def test_standard_inferred(self, now, number, until):
        """
        Unseen, standard is the newest signed number whose recovery event is
        a year old; below that the oldest.  It says when that will change.
        """
        choice = choose(find_baseline("standard"), UNSEEN, now)

        expected = Choice(
            number=number, baseline="standard", inferred=True, until=until
        )
        assert expected == choice

    @pytest.mark.parametrize("name", ["early", "standard"])
    def test_nothing_signed(self, name):
        """
        Without a signed list the newest archived number stands in.
        """
        choice = choose(find_baseline(name), UNSIGNED, NOW)

        assert Choice(number=22, baseline=name, inferred=True) == choice


class TestTrailing:
    @pytest.mark.parametrize(
        ("now", "number", "until"),
        [
            (NUMBERS[17], 17, NUMBERS[17] + 540 * DAY),
            (NUMBERS[18] + 540 * DAY - SECOND, 17, NUMBERS[18] + 540 * DAY),
            (NUMBERS[18] + 540 * DAY, 18, NUMBERS[19] + 540 * DAY),
            (NUMBERS[20] + 540 * DAY - SECOND, 19, NUMBERS[20] + 540 * DAY),
            (NUMBERS[20] + 540 * DAY, 20, None),
        ],
    )
    def test_default(self, now, number, until):
        """
        The newest signed number that is 540 days old, to the second; below
        that the oldest that is still signed.
        """
        choice = choose(find_baseline("default"), LANDSCAPE, now)

        expected = Choice(number=number, baseline="default", until=until)
        assert expected == choice

    def test_withdrawn_numbers_do_not_count(self):
        """
        A number that is archived but no longer signed is not chosen.
        """
        signed = {n: event for n, event in NUMBERS.items() if n > 18}
        landscape = dataclasses.replace(LANDSCAPE, signed=signed)

        assert 19 == choose(find_baseline("default"), landscape, NOW).number

    def test_channels_do_not_count(self):
        """
        Where the vendor's channels point does not matter.
        """
        expected = choose(find_baseline("default"), LANDSCAPE, NOW)

        assert expected == choose(find_baseline("default"), UNSEEN, NOW)

    def test_the_number_decides_and_not_the_date(self):
        """
        Of the numbers that are old enough the highest is the newest.
        """
        signed = {5: NOW - 900 * DAY, 6: NOW - 901 * DAY, 7: NOW}
        landscape = dataclasses.replace(LANDSCAPE, signed=signed)

        assert 6 == choose(find_baseline("default"), landscape, NOW).number

    def test_nothing_signed(self):
        """
        Without a signed list the newest archived number stands in.
        """
        choice = choose(find_baseline("default"), UNSIGNED, NOW)

        assert Choice(number=22, baseline="default", inferred=True) == choice

    @pytest.mark.parametrize("name", ["default", "early", "standard"])
    def test_empty_archive(self, name):
        """
        With nothing archived at all there is nothing to choose.
        """
        with pytest.raises(NotFoundError, match="holds no document") as e:
            choose(find_baseline(name), EMPTY, NOW)

        assert "empty-archive" == e.value.reason


class TestNumber:
    def test_unknown(self):
        """
        A number of which nothing is known is not chosen.
        """
        with pytest.raises(NotFoundError, match="known are 10, 16, 17") as e:
            choose(find_baseline("21"), LANDSCAPE, NOW)

        assert "unknown-number" == e.value.reason


class TestFloor:
    def test_below(self):
        """
        Where the rule comes to a number below the floor, the floor answers, for
        as long as the rule would have.
        """
        baseline = find_baseline("default")
        lifted = dataclasses.replace(baseline, floor=20)
        bare = choose(baseline, LANDSCAPE, NOW)

        assert (17, NUMBERS[17] + 540 * DAY) == (bare.number, bare.until)
        assert dataclasses.replace(bare, number=20) == choose(
            lifted, LANDSCAPE, NOW
        )

    @pytest.mark.parametrize("floor", [16, 17])
    def test_above(self, floor):
        """
        A floor that the rule does not come below changes nothing.
        """
        baseline = find_baseline("default")
        other = dataclasses.replace(baseline, floor=floor)

        assert choose(baseline, LANDSCAPE, NOW) == choose(other, LANDSCAPE, NOW)


class TestLag:
    @pytest.mark.parametrize(
        ("rule", "number"),
        [("lag: 1 event", 19), ("lag: 2 events", 18), ("lag: 3 events", 17)],
    )
    def test_behind_standard(self, rule, number):
        """
        It is so many TCB recovery events behind standard.
        """
        decided = never("mine", decided=Decisions().baseline("mine", rule))

        assert Choice(number=number, baseline="mine") == answer(decided)

    def test_too_far(self):
        """
        Where not so many events are known it comes to no number, and says
        which are.
        """
        decided = Decisions().baseline("mine", "lag: 4 events")

        with pytest.raises(
            NotFoundError,
            match=r"lag: 4 events, comes to no number: .* behind 20, only 20 "
            r"\(2025-08-12\), 19 .*, 18 .*, 17 ",
        ) as e:
            answer(never("mine", decided=decided))

        assert "rule-yields-nothing" == e.value.reason

    def test_nothing_listed(self):
        """
        Without any list it comes to none.
        """
        decided = Decisions().baseline("mine", "lag: 1 event")

        with pytest.raises(
            NotFoundError, match=r"number 20 is not known, only of none"
        ):
            answer(never("mine", decided=decided), LANDSCAPE)

    def test_events_and_not_numbers(self):
        """
        Two numbers of one event are one event: the newer of them answers.
        """
        history = {
            **DATED.history,
            19: NumberHistory(number=19, recovery_event=NUMBERS[18]),
        }
        landscape = dataclasses.replace(DATED, history=history)
        decided = Decisions().baseline("one", "lag: 1 event")
        decided.baseline("two", "lag: 2 events")

        assert [19, 17] == [
            answer(never(name, decided=decided), landscape).number
            for name in ("one", "two")
        ]

    def test_inferred(self):
        """
        Where standard is inferred, so is this, for as long as that.
        """
        landscape = dataclasses.replace(DATED, channels={})
        decided = Decisions().baseline("mine", "lag: 1 event")
        now = NUMBERS[19] + YEAR

        choice = answer(never("mine", decided=decided), landscape, now=now)

        assert (18, True, NUMBERS[20] + YEAR) == (
            choice.number,
            choice.inferred,
            choice.until,
        )

    def test_only_what_is_known(self):
        """
        A number that one of the two lists alone has, and of which there is no
        document, is not chosen.
        """
        landscape = dataclasses.replace(DATED, known=DATED.known - {19})
        decided = Decisions().baseline("mine", "lag: 1 event")

        assert 18 == answer(never("mine", decided=decided), landscape).number


class TestTcbDate:
    @pytest.mark.parametrize(
        ("date", "number"),
        [
            (NUMBERS[19] + DAY, 19),
            (NUMBERS[19] + 2 * DAY, 19),
            (NUMBERS[20] + 900 * DAY, 20),
            (NUMBERS[18] + DAY, 18),
        ],
    )
    def test_not_after(self, date, number):
        """
        It is the newest number whose TCB date is not after the date.
        """
        decided = Decisions().baseline("mine", f"tcb-date: {date:%F}")

        choice = answer(never("mine", decided=decided))

        assert Choice(number=number, baseline="mine") == choice

    def test_too_early(self):
        """
        Where all dates are later it comes to no number, and lists them.
        """
        decided = Decisions().baseline("mine", "tcb-date: 2001-01-01")

        with pytest.raises(
            NotFoundError,
            match=r"these TCB dates are known: 10 .* 17 \(2024-03-13\)",
        ) as e:
            answer(never("mine", decided=decided))

        assert "rule-yields-nothing" == e.value.reason

    def test_nothing_listed(self):
        """
        Without any list only the numbers have a date that Azure documents.
        """
        decided = Decisions().baseline("mine", "tcb-date: 2025-06-06")
        decided.baseline("older", "tcb-date: 2020-06-06")

        assert 10 == answer(never("mine", decided=decided), LANDSCAPE).number
        with pytest.raises(NotFoundError, match=r"known: 10 .2020-11-11.$"):
            answer(never("older", decided=decided), LANDSCAPE)

    def test_only_what_is_known(self):
        """
        A number of which there is nothing is not chosen.
        """
        landscape = dataclasses.replace(DATED, known=DATED.known - {20})
        decided = Decisions().baseline("mine", "tcb-date: 2026-06-06")

        assert 19 == answer(never("mine", decided=decided), landscape).number


days = st.integers(0, 3000).map(lambda n: NOW + (n - 1500) * DAY)
landscapes = st.builds(
    Landscape,
    signed=st.dictionaries(st.integers(0, 30), days, min_size=1, max_size=6),
    archived=st.just(frozenset({1})),
    channels=st.just({}),
    known=st.just(frozenset(range(31))),
)
rules = st.one_of(
    st.builds(Number, number=st.integers(0, 30)),
    st.builds(Channel, update=st.sampled_from(Update)),
    st.builds(Trailing, age=st.integers(0, 900).map(lambda n: n * DAY)),
)
baselines = st.builds(Baseline, name=st.just("any"), rule=rules)


class TestProperties:
    @settings(max_examples=80)
    @given(baselines, landscapes, days, st.integers(0, 1500))
    def test_holds_until_it_says(self, baseline, landscape, now, later):
        """
        Before *until* the same rule chooses the same number.
        """
        choice = choose(baseline, landscape, now)
        then = now + later * DAY

        if choice.until is None or then < choice.until:
            again = choose(baseline, landscape, then)
            assert choice == again
        assert choice.until is None or choice.until > now

    @settings(max_examples=60)
    @given(baselines, landscapes, days)
    def test_chooses_what_is_signed(self, baseline, landscape, now):
        """
        A floating rule chooses a number that the vendor still signs.
        """
        choice = choose(baseline, landscape, now)

        is_fixed = isinstance(baseline.rule, Number)
        assert is_fixed or choice.number in landscape.signed

    @settings(max_examples=60)
    @given(landscapes, days, st.integers(0, 900), st.integers(0, 900))
    def test_more_patience_is_never_newer(self, landscape, now, one, other):
        """
        Who trails by more is never served a newer number.
        """
        less, more = sorted([one, other])
        newer, older = (
            choose(
                Baseline(name="any", rule=Trailing(age=age * DAY)),
                landscape,
                now,
            ).number
            for age in (less, more)
        )

        assert older <= newer
