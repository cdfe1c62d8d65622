import dataclasses
import datetime
import itertools

import pytest

from thim.baseline.book import Book
from thim.baseline.choice import Choice
from thim.baseline.model import (
    Landscape,
)
from thim.baseline.select import Wish, find_standing, resolve
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
