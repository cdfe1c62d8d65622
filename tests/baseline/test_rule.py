import datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.baseline.model import (
    Approval,
    Channel,
    Lag,
    Number,
    TcbDate,
    Trailing,
)
from thim.baseline.rule import (
    parse_days,
    parse_hold,
    parse_rule,
    spell_hold,
    spell_rule,
)
from thim.errors import ParameterError
from thim.intel.names import Update


def days(count):
    """
    So many days.
    """
    return datetime.timedelta(days=count)


def date(year, month, day):
    """
    The first instant of a day.
    """
    return datetime.datetime(year, month, day, tzinfo=datetime.UTC)


RULES = st.one_of(
    st.builds(Number, number=st.integers(0, 10**9 - 1)),
    st.builds(Channel, update=st.sampled_from(Update)),
    st.builds(Trailing, age=st.integers(1, 9999).map(days)),
    st.builds(Lag, events=st.integers(1, 99)),
    st.builds(
        TcbDate,
        date=st.dates().map(lambda d: date(d.year, d.month, d.day)),
    ),
)
HOLDS = st.one_of(
    st.just(Approval.UNTIL_APPROVED), st.integers(1, 9999).map(days)
)


class TestParseRule:
    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("early", Channel(update=Update.EARLY)),
            ("standard", Channel(update=Update.STANDARD)),
            ("number: 19", Number(number=19)),
            ("number:0", Number(number=0)),
            ("19", Number(number=19)),
            ("trailing: 540d", Trailing(age=days(540))),
            ("trailing:1 day", Trailing(age=days(1))),
            ("trailing: 90 days", Trailing(age=days(90))),
            ("lag: 1 event", Lag(events=1)),
            ("lag: 2 events", Lag(events=2)),
            ("lag: 3", Lag(events=3)),
            ("tcb-date: 2025-06-06", TcbDate(date=date(2025, 6, 6))),
            ("  tcb-date :  2025-06-06 ", TcbDate(date=date(2025, 6, 6))),
        ],
    )
    def test_read(self, text, rule):
        """
        A rule is read as people write it.
        """
        assert rule == parse_rule(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ":",
            "latest",
            "Early",
            "early: 1",
            "early:",
            "number",
            "number: 019",
            "number: -1",
            "number: 1000000000",
            "number: \u0661",
            "number: 19\n20",
            "trailing: 0d",
            "trailing: 540",
            "trailing: 540h",
            "trailing: 10000d",
            "trailing: 540dd",
            "lag: 0 events",
            "lag: 100",
            "lag: one event",
            "lag: -1",
            "tcb-date: 2025-02-30",
            "tcb-date: 2025-6-6",
            "tcb-date: 20250606",
            "tcb-date: 2025-06-06T00:00:00Z",
            "tcb-date: 0000-01-01",
            "number: 19: 20",
        ],
    )
    def test_no_rule(self, text):
        """
        Anything else is refused, and the message shows every form.
        """
        with pytest.raises(
            ParameterError, match=r"expected early, .* or tcb-date: 2025-06-06"
        ) as e:
            parse_rule(text)

        assert "rule" == e.value.parameter

    def test_names_the_parameter(self):
        """
        The error calls the parameter as the caller does.
        """
        with pytest.raises(ParameterError, match=r"--rule: got 'x'"):
            parse_rule("x", "--rule")

    @given(st.text(max_size=30))
    def test_any_text(self, text):
        """
        Whatever the text, the answer is a rule that reads back or an error of
        ours.
        """
        try:
            rule = parse_rule(text)
        except ParameterError:
            return
        assert rule == parse_rule(spell_rule(rule))

    @given(RULES)
    def test_round_trip(self, rule):
        """
        Every rule is read back from how it is written.
        """
        assert rule == parse_rule(spell_rule(rule))


class TestSpellRule:
    @pytest.mark.parametrize(
        ("rule", "text"),
        [
            (Lag(events=1), "lag: 1 event"),
            (Lag(events=2), "lag: 2 events"),
            (Trailing(age=days(540)), "trailing: 540d"),
            (TcbDate(date=date(2025, 6, 6)), "tcb-date: 2025-06-06"),
            (TcbDate(date=date(999, 6, 6)), "tcb-date: 0999-06-06"),
            (Number(number=19), "number: 19"),
            (Channel(update=Update.EARLY), "early"),
        ],
    )
    def test_form(self, rule, text):
        """
        A rule is written in the one form that the documentation shows.
        """
        assert text == spell_rule(rule)


class TestHold:
    @pytest.mark.parametrize(
        ("text", "hold"),
        [
            ("14d", days(14)),
            (" 14 days ", days(14)),
            ("1 day", days(1)),
            ("until-approved", Approval.UNTIL_APPROVED),
            (" until-approved ", Approval.UNTIL_APPROVED),
        ],
    )
    def test_read(self, text, hold):
        """
        A hold is a number of days, or lasts until somebody approves.
        """
        assert hold == parse_hold(text)

    @pytest.mark.parametrize(
        "text",
        ["", "0d", "14", "-1d", "approved", "14d 3h", "99999d", "\u0661d"],
    )
    def test_no_hold(self, text):
        """
        Anything else is refused, and the message shows both forms.
        """
        with pytest.raises(
            ParameterError, match="days such as 14d, or until-approved"
        ) as e:
            parse_hold(text)

        assert "hold" == e.value.parameter

    def test_names_the_parameter(self):
        """
        The error calls the parameter as the caller does.
        """
        with pytest.raises(ParameterError, match=r"--hold: got 'x'"):
            parse_hold("x", "--hold")

    @given(HOLDS)
    def test_round_trip(self, hold):
        """
        Every hold is read back from how it is written.
        """
        assert hold == parse_hold(spell_hold(hold))


class TestParseDays:
    def test_none(self):
        """
        What is no number of days is none, without an error.
        """
        assert parse_days("soon") is None

    def test_days(self):
        """
        A number of days is read.
        """
        assert days(540) == parse_days(" 540d ")
