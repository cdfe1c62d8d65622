import dataclasses
import datetime
import itertools

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from thim.baseline.book import Book
from thim.baseline.model import (
    Baseline,
    Channel,
    Landscape,
    Number,
    Trailing,
)
from thim.baseline.select import (
    Choice,
    Wish,
    choose,
    find_baseline,
    find_standing,
    resolve,
)
from thim.errors import NotFoundError, ParameterError
from thim.intel.names import Update
from thim.simulate.pki import NUMBERS


DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
YEAR = 365 * DAY
NOW = datetime.datetime(2025, 9, 1, tzinfo=datetime.UTC)
#: What is known of SGX in September 2025, with channels set by hand: 17 is
#: more than 540 days old, 18 is not, and neither 18 nor 19 is a year old.
LANDSCAPE = Landscape(
    signed=NUMBERS,
    archived=frozenset({10, 16, 17, 18, 19, 20, 22}),
    channels={Update.EARLY: 22, Update.STANDARD: 20},
    known=frozenset({10, 16, 17, 18, 19, 20, 22, 23}),
)
UNSEEN = dataclasses.replace(LANDSCAPE, channels={})
UNSIGNED = dataclasses.replace(LANDSCAPE, channels={}, signed={})
EMPTY = Landscape(
    signed={}, archived=frozenset(), channels={}, known=frozenset()
)
EARLY, STANDARD = Update.EARLY, Update.STANDARD


def answer(landscape=LANDSCAPE, now=NOW, **wish):
    """
    Choose the number that answers a wish.
    """
    asked = Wish(**wish)
    return resolve(asked, find_standing(asked, Book(), None, now), landscape)


class TestNobodyChose:
    def test_nothing_wished(self):
        """
        Without a wish the default answers: trailing, by 540 days.
        """
        choice = answer()

        assert 17 == choice.number
        assert "default" == choice.baseline
        assert not choice.inferred
        assert choice.warning is None

    def test_update_standard_is_no_wish(self):
        """
        Clients cannot help sending update=standard: it changes nothing.
        """
        assert answer() == answer(update=STANDARD)

    def test_update_early(self):
        """
        update=early counts where nobody chose a baseline.
        """
        choice = answer(update=EARLY)

        assert Choice(number=22, baseline="early") == choice

    @pytest.mark.parametrize("name", ["number", "custom_number"])
    def test_number(self, name):
        """
        An explicit number is taken, in either parameter.
        """
        assert Choice(number=19, baseline="19") == answer(**{name: 19})

    def test_same_number_twice(self):
        """
        The same number in both parameters is no contradiction.
        """
        assert 19 == answer(number=19, custom_number=19).number

    @pytest.mark.parametrize("update", Update)
    def test_custom_number_beats_update(self, update):
        """
        QCNL sends both: the number in customParameter counts.
        """
        choice = answer(custom_number=18, update=update)

        assert Choice(number=18, baseline="18") == choice

    @pytest.mark.parametrize("update", Update)
    def test_number_with_update(self, update):
        """
        A plain number and update together are refused, as by Intel.
        """
        with pytest.raises(
            ParameterError,
            match=f"no update beside it, got update={update.value}",
        ) as e:
            answer(number=18, update=update)

        assert "tcbEvaluationDataNumber" == e.value.parameter

    def test_two_numbers(self):
        """
        Two different numbers are refused, and the message names both.
        """
        with pytest.raises(ParameterError, match="'19', expected 18") as e:
            answer(number=18, custom_number=19)

        assert "customParameter" == e.value.parameter

    @pytest.mark.parametrize("name", ["number", "custom_number"])
    def test_number_0(self, name):
        """
        Number 0 is a number like any other.
        """
        known = dataclasses.replace(LANDSCAPE, known=frozenset({0}))

        assert 0 == answer(known, **{name: 0}).number
        with pytest.raises(ParameterError, match="expected 0"):
            answer(known, baseline="0", **{name: 1})

    def test_number_0_with_update(self):
        """
        It is refused beside update as well.
        """
        with pytest.raises(ParameterError, match="no update beside it"):
            answer(number=0, update=STANDARD)


class TestUnderANumber:
    def test_number(self):
        """
        A baseline that is a number answers with it.
        """
        expected = Choice(number=19, baseline="19")

        assert expected == answer(baseline="19")

    def test_update_standard(self):
        """
        update=standard under it gives no mixed set.
        """
        assert answer(baseline="19") == answer(baseline="19", update=STANDARD)

    def test_update_early(self):
        """
        update=early is answered by the baseline, with a warning.
        """
        choice = answer(baseline="19", update=EARLY)

        assert 19 == choice.number
        assert "update=early answered by baseline 19" == choice.warning

    @pytest.mark.parametrize("name", ["number", "custom_number"])
    def test_the_same_number(self, name):
        """
        The baseline's own number may be asked for in so many words.
        """
        assert 19 == answer(baseline="19", **{name: 19}).number

    @pytest.mark.parametrize(
        ("name", "parameter"),
        [
            ("number", "tcbEvaluationDataNumber"),
            ("custom_number", "customParameter"),
        ],
    )
    def test_another_number(self, name, parameter):
        """
        Another explicit number is refused.
        """
        with pytest.raises(ParameterError, match="'18', expected 19") as e:
            answer(baseline="19", **{name: 18})

        assert parameter == e.value.parameter

    def test_one_of_two_numbers(self):
        """
        It is not enough that one of them is the baseline's.
        """
        with pytest.raises(ParameterError, match="'18', expected 19"):
            answer(baseline="19", number=19, custom_number=18)

    def test_azure(self):
        """
        A named baseline that is a number refuses others too.
        """
        expected = Choice(
            number=10, baseline="azure", is_withdrawn=True, is_archived=True
        )

        assert expected == answer(baseline="azure")
        assert 10 == answer(baseline="azure", custom_number=10).number
        with pytest.raises(ParameterError, match="'14', expected 10"):
            answer(baseline="azure", custom_number=14)

    def test_number_with_update(self):
        """
        A plain number and update are refused here as well, be it the same.
        """
        with pytest.raises(ParameterError, match="no update beside it"):
            answer(baseline="19", number=19, update=STANDARD)

    def test_known_from_another_time(self):
        """
        A number of which anything is known is a baseline; the document may
        still be missing.
        """
        assert 23 == answer(baseline="23").number

    @pytest.mark.parametrize("wish", [{"baseline": "99"}, {"number": 99}])
    def test_unknown(self, wish):
        """
        A number of which nothing is known is not found.
        """
        with pytest.raises(NotFoundError, match="data number 99") as e:
            answer(**wish)

        assert "unknown-number" == e.value.reason


class TestUnderAName:
    @pytest.mark.parametrize("name", ["early", "standard"])
    def test_update_early(self, name):
        """
        update=early counts where the baseline is one of Intel's rhythms.
        """
        choice = answer(baseline=name, update=EARLY)

        assert Choice(number=22, baseline="early") == choice

    @pytest.mark.parametrize(
        ("name", "number"), [("early", 22), ("standard", 20), ("default", 17)]
    )
    @pytest.mark.parametrize("update", [None, STANDARD])
    def test_baseline_in_force(self, name, number, update):
        """
        Else the baseline answers, also where it is early and the client
        says standard.
        """
        choice = answer(baseline=name, update=update)

        assert (number, name) == (choice.number, choice.baseline)
        assert choice.warning is None

    def test_default_by_name(self):
        """
        The default is another thing when it was chosen: update=early does
        not leave it.
        """
        choice = answer(baseline="default", update=EARLY)

        assert 17 == choice.number
        assert "update=early answered by baseline default" == choice.warning
        assert answer(baseline="default").until == choice.until

    @pytest.mark.parametrize("name", ["early", "standard", "default"])
    def test_number(self, name):
        """
        An explicit number is taken under a baseline that is none.
        """
        assert 18 == answer(baseline=name, number=18).number
        assert 18 == answer(baseline=name, custom_number=18).number

    def test_unknown(self):
        """
        An unknown baseline is not found, whatever else is wished.
        """
        with pytest.raises(NotFoundError, match="baseline 'mine'") as e:
            answer(baseline="mine", number=18)

        assert "unknown-baseline" == e.value.reason

    def test_empty_name(self):
        """
        Nor is one without a name: it is not taken for no choice.
        """
        with pytest.raises(NotFoundError, match="baseline ''"):
            answer(baseline="")


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

    @pytest.mark.parametrize("name", ["19", "azure"])
    @pytest.mark.parametrize(
        ("update", "custom"), list(itertools.product([None, *Update], [None]))
    )
    def test_one_set_under_a_number(self, name, update, custom):
        """
        Whatever clients send along, a number answers with one set.
        """
        number = answer(baseline=name).number

        choice = answer(baseline=name, update=update, custom_number=custom)

        assert number == choice.number
