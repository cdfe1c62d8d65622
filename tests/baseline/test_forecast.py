import dataclasses
import datetime
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
    on,
    seen,
    standard,
)
from thim.baseline.choice import choose
from thim.baseline.forecast import (
    PATIENCE,
    Forecast,
    forecast_promotion,
    forecast_rule,
    observed_lags,
)
from thim.baseline.model import (
    Baseline,
    Channel,
    Lag,
    Landscape,
    Number,
    TcbDate,
    Trailing,
)
from thim.intel.names import Update


WEEK = 7 * DAY
#: Number 22 is made up.
LATER = {**EVENTS, 22: on("2026-02-10")}
STANDARD = Channel(update=Update.STANDARD)
EARLY = Channel(update=Update.EARLY)


def promotion(history, number):
    """
    Forecast when *number* becomes ``standard``.
    """
    return forecast_promotion(history, number)


def move(rule, history, now):
    """
    Forecast when *rule* moves.
    """
    return forecast_rule(rule, history, now)


class TestLeaveOneOut:
    """Real dates, each forecast from those before or beside it."""

    @pytest.mark.parametrize("known", [(AT_17, TO_18), (TO_18,)])
    def test_20_from_18(self, known):
        """
        From 18 alone, 20 is forecast within a week of the day on which it
        came.
        """
        forecast = promotion(seen(*known), 20)

        assert abs(forecast.at - TO_20.seen) < WEEK
        assert (18,) == forecast.basis

    def test_18_from_20(self):
        """
        From 20 alone, 18 is forecast within a week of the day by which it had
        come.
        """
        forecast = promotion({**seen(AT_17, TO_20), 18: seen()[18]}, 18)

        assert abs(forecast.at - TO_18.seen) < WEEK
        assert (20,) == forecast.basis

    @pytest.mark.parametrize("number", [17, 18, 19, 20])
    def test_from_nothing(self, number):
        """
        Where no channel was seen it is unknown.
        """
        assert promotion(seen(), number) is None

    def test_19_was_passed_over(self):
        """
        19 has no lag: it is named as passed over.
        """
        history = seen(AT_17, TO_18, TO_20, numbers=LATER, events=LATER)

        assert {18: 371 * DAY, 20: 366 * DAY} == observed_lags(history)
        forecast = promotion(history, 22)
        assert forecast.confidence.endswith("; passed over: 19")


class TestForecastPromotion:
    def test_two_promotions(self):
        """
        The median of what was observed, and from when to when.
        """
        history = seen(AT_17, TO_18, TO_20, numbers=LATER, events=LATER)

        event = LATER[22]
        expected = Forecast(
            number=22,
            at=event + 368.5 * DAY,
            earliest=event + 366 * DAY,
            latest=event + 371 * DAY,
            basis=(18, 20),
            confidence=(
                "rests on 2 promotions, of 18, 20: 366 to 371 days after the "
                "TCB recovery event; passed over: 19"
            ),
        )
        assert expected == promotion(history, 22)

    def test_three_promotions(self):
        """
        A single one that was out of the ordinary does not matter.
        """
        history = seen(
            AT_17,
            TO_18,
            standard(19, "2025-12-01"),
            TO_20,
            numbers=LATER,
            events=LATER,
        )
        forecast = promotion(history, 22)

        assert LATER[22] + 366 * DAY == forecast.at
        assert (18, 19, 20) == forecast.basis

    def test_one_promotion(self):
        """
        One promotion makes no span.
        """
        expected = Forecast(
            number=20,
            at=EVENTS[20] + 371 * DAY,
            basis=(18,),
            confidence=(
                "rests on 1 promotion, of 18: 371 days after the TCB recovery "
                "event"
            ),
        )
        assert expected == promotion(seen(AT_17, TO_18), 20)

    def test_first_sighting_alone(self):
        """
        Where a channel stood when it was first looked at counts only where
        nothing else is known, and that is said.
        """
        forecast = promotion(seen(standard(18, "2026-06-01")), 20)

        assert EVENTS[20] + (on("2026-06-01") - EVENTS[18]) == forecast.at
        assert (None, None) == (forecast.earliest, forecast.latest)
        assert forecast.confidence.startswith("rests on no promotion that was")
        assert forecast.confidence.endswith("may well be earlier")

    def test_first_sighting_beside_a_move(self):
        """
        Beside a move it does not count.
        """
        history = seen(
            standard(18, "2026-06-01"), TO_20, numbers=LATER, events=LATER
        )

        assert (20,) == promotion(history, 22).basis

    @pytest.mark.parametrize("number", [17, 18, 19, 20])
    def test_promoted(self, number):
        """
        What is standard, or was passed over, is not forecast.
        """
        history = seen(AT_17, TO_18, TO_20)

        assert promotion(history, number) is None

    def test_unknown_event(self):
        """
        Nor is a number whose event is not known, or that is not known itself.
        """
        history = seen(AT_17, TO_18)
        history[21] = dataclasses.replace(
            history[20], number=21, recovery_event=None
        )

        assert promotion(history, 21) is None
        assert promotion(history, 99) is None

    def test_early_is_no_promotion(self):
        """
        Where ``early`` points to does not matter.
        """
        told = [
            dataclasses.replace(one, update=Update.EARLY)
            for one in (AT_17, TO_18)
        ]
        assert promotion(seen(*told), 20) is None

    def test_one_day(self):
        """
        A lag of a day is one day.
        """
        history = seen(AT_17, standard(18, "2024-11-13"))

        forecast = promotion(history, 20)

        assert ": 1 day after" in forecast.confidence

    def test_overdue(self):
        """
        It is overdue when the latest day has passed.
        """
        forecast = Forecast(number=20, at=on("2026-08-13"), confidence="-")
        span = dataclasses.replace(forecast, latest=on("2026-09-01"))

        assert not forecast.is_overdue(on("2026-08-13"))
        assert forecast.is_overdue(on("2026-08-14"))
        assert not span.is_overdue(on("2026-08-14"))
        assert span.is_overdue(on("2026-09-02"))


class TestForecastStandard:
    def test_next(self):
        """
        The next number that becomes standard is told.
        """
        forecast = move(STANDARD, seen(AT_17, TO_18), on("2026-01-01"))

        assert 19 == forecast.number
        assert EVENTS[19] + 371 * DAY == forecast.at

    def test_a_little_overdue(self):
        """
        One that is a little overdue is still expected.
        """
        now = EVENTS[19] + 371 * DAY + PATIENCE

        assert 19 == move(STANDARD, seen(AT_17, TO_18), now).number

    def test_probably_passed_over(self):
        """
        One that is long overdue gives way to the next: so it was with 19.
        """
        now = EVENTS[19] + 372 * DAY + PATIENCE

        assert 20 == move(STANDARD, seen(AT_17, TO_18), now).number

    def test_only_overdue_ones(self):
        """
        Where all are long overdue the newest is expected.
        """
        now = on("2028-01-01")

        assert 20 == move(STANDARD, seen(AT_17, TO_18), now).number

    def test_two_of_one_event(self):
        """
        Of two numbers of one event the newer becomes standard.
        """
        events = {**EVENTS, 20: EVENTS[19]}
        history = seen(AT_17, TO_18, events=events)

        forecast = move(STANDARD, history, on("2026-01-01"))

        assert 20 == forecast.number

    def test_not_signed(self):
        """
        A number that the vendor no longer signs is not expected.
        """
        history = seen(AT_17, TO_18)
        history[19] = dataclasses.replace(history[19], is_signed_now=False)

        forecast = move(STANDARD, history, on("2026-01-01"))

        assert 20 == forecast.number

    def test_unknown(self):
        """
        With nothing seen, or nothing to come, it is unknown.
        """
        now = on("2026-01-01")

        assert move(STANDARD, seen(), now) is None
        assert move(STANDARD, seen(AT_17, TO_18, TO_20), now) is None
        assert move(STANDARD, {}, now) is None


class TestForecastFixed:
    @pytest.mark.parametrize(
        "rule", [Number(number=18), TcbDate(date=on("2025-01-01")), EARLY]
    )
    def test_never(self, rule):
        """
        A number and a date never move; ``early`` is not known before.
        """
        history = seen(AT_17, TO_18)

        assert move(rule, history, on("2026-01-01")) is None


class TestForecastTrailing:
    RULE = Trailing(age=540 * DAY)

    def test_next(self):
        """
        The next number ripens on the very day.
        """
        expected = Forecast(
            number=18,
            at=EVENTS[18] + 540 * DAY,
            confidence="exact, if the vendor signs 18 until then",
        )

        assert expected == move(self.RULE, seen(), on("2026-01-01"))

    @pytest.mark.parametrize(
        ("now", "number"),
        [
            (EVENTS[18] + 540 * DAY, 19),
            (EVENTS[20] + 540 * DAY, None),
            (EVENTS[17], 18),
        ],
    )
    def test_from_day_to_day(self, now, number):
        """
        On the day itself the one after is next, at the end none; where none
        is ripe the oldest is already in force.
        """
        forecast = move(self.RULE, seen(), now)

        assert number == (forecast and forecast.number)

    def test_not_signed(self):
        """
        A number that the vendor no longer signs does not ripen.
        """
        history = seen()
        history[18] = dataclasses.replace(history[18], is_signed_now=False)

        assert 19 == move(self.RULE, history, on("2026-01-01")).number

    def test_empty(self):
        """
        With no number signed it is unknown.
        """
        assert move(self.RULE, {}, on("2026-01-01")) is None

    @settings(max_examples=60)
    @given(
        st.dictionaries(
            st.integers(10, 25), st.integers(0, 900), min_size=1, max_size=6
        ),
        st.integers(0, 900),
        st.integers(0, 1500),
    )
    def test_as_it_is_chosen(self, days, age, today):
        """
        On the day that is forecast the rule chooses that number, and until
        then the one that it chooses today.
        """
        events = {n: on("2024-01-01") + day * DAY for n, day in days.items()}
        history = seen(numbers=events, events=events)
        rule, now = Trailing(age=age * DAY), on("2024-01-01") + today * DAY
        forecast = move(rule, history, now)

        def chosen(then: datetime.datetime) -> int:
            landscape = Landscape(
                signed=events,
                archived=frozenset(),
                channels={},
                known=frozenset(events),
            )
            baseline = Baseline(name="any", rule=rule)
            return choose(baseline, landscape, then).number

        if forecast is None:
            assert chosen(now) == chosen(now + 3000 * DAY)
        else:
            before = forecast.at - datetime.timedelta(seconds=1)
            assert forecast.number == chosen(forecast.at)
            assert chosen(now) == chosen(max(now, before))
            assert chosen(now) != forecast.number


class TestForecastLag:
    def test_follows_standard(self):
        """
        It moves with ``standard``, so many events behind.
        """
        history = seen(AT_17, TO_18)
        now = on("2026-01-01")
        expected = move(STANDARD, history, now)

        forecast = move(Lag(events=1), history, now)

        assert (18, expected.at) == (forecast.number, expected.at)
        assert forecast.at == expected.at
        assert forecast.confidence == (
            f"when standard moves to 19, which {expected.confidence}"
        )

    def test_one_event(self):
        """
        A promotion within an event moves nothing; the next one does.
        """
        events = {**EVENTS, 19: EVENTS[18]}
        history = seen(AT_17, TO_18, events=events)

        forecast = move(Lag(events=1), history, on("2025-12-01"))

        assert 19 == forecast.number
        assert EVENTS[20] + 371 * DAY == forecast.at

    def test_beyond_what_is_known(self):
        """
        Where it yields nothing yet the first that it will yield is told.
        """
        history = seen(AT_17, TO_18)

        forecast = move(Lag(events=2), history, on("2026-01-01"))

        assert 17 == forecast.number
        assert EVENTS[19] + 371 * DAY == forecast.at
        for events in (4, 9):
            rule = Lag(events=events)
            assert move(rule, history, on("2026-01-01")) is None

    def test_unknown(self):
        """
        Where ``standard`` is unknown it is too.
        """
        assert move(Lag(events=1), seen(), on("2026-01-01")) is None


class TestProperties:
    @settings(max_examples=60)
    @given(
        st.sets(st.integers(10, 25), min_size=2, max_size=6),
        st.data(),
    )
    def test_within_what_was_observed(self, numbers, data):
        """
        A forecast lies between the shortest and the longest lag that was
        observed, and in whatever order the history is.
        """
        ordered = sorted(numbers)
        events = {n: on("2020-01-01") + n * 100 * DAY for n in ordered}
        days = data.draw(
            st.lists(
                st.integers(1, 60),
                min_size=len(ordered) - 1,
                max_size=len(ordered) - 1,
            )
        )
        at = itertools.accumulate(days, initial=2600)
        told = [
            dataclasses.replace(
                AT_17, number=n, seen=on("2020-01-01") + d * DAY
            )
            for n, d in zip(ordered[:-1], at, strict=False)
        ]
        history = seen(*told, numbers=ordered, events=events)
        shuffled = dict(data.draw(st.permutations(list(history.items()))))

        forecast = promotion(history, ordered[-1])

        assert forecast == promotion(shuffled, ordered[-1])
        lags = observed_lags(history).values()
        if lags:
            lag = forecast.at - events[ordered[-1]]
            assert min(lags) <= lag <= max(lags)
            assert forecast.earliest is None or (
                forecast.earliest <= forecast.at <= forecast.latest
            )

    @settings(max_examples=60)
    @given(st.integers(0, 5), st.integers(0, 1500))
    def test_lag_never_outruns_standard(self, events, today):
        """
        What trails ``standard`` is forecast at or behind it.
        """
        history = seen(AT_17, TO_18, numbers=LATER, events=LATER)
        now = on("2025-12-01") + today * DAY
        ahead = move(STANDARD, history, now)
        forecast = move(Lag(events=events), history, now)

        assert forecast is None or (
            forecast.number <= ahead.number and forecast.at >= ahead.at
        )
