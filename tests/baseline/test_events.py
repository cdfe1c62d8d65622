import dataclasses

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.baseline.numbers import DAY, EVENTS, on, seen
from thim.baseline.events import events_behind
from thim.baseline.history import DocumentDates, NumberHistory, make_history
from thim.errors import NotFoundError


HISTORY = seen()


class TestEventsBehind:
    @pytest.mark.parametrize(
        ("number", "count", "expected"),
        [(20, 0, 20), (20, 1, 19), (20, 2, 18), (20, 3, 17), (18, 1, 17)],
    )
    def test_behind(self, number, count, expected):
        """
        Each event is a step.
        """
        assert expected == events_behind(HISTORY, number, count)

    def test_numbers_of_one_event(self):
        """
        Of several numbers of one event the newest counts, as one step.
        """
        events = {n: on("2025-05-13") for n in (18, 19)} | {
            17: EVENTS[17],
            20: EVENTS[20],
        }
        history = seen(events=events)

        assert 19 == events_behind(history, 20, 1)
        assert 17 == events_behind(history, 20, 2)
        assert 17 == events_behind(history, 18, 1)

    def test_never_beyond(self):
        """
        A newer number of the same event is not behind.
        """
        events = dict.fromkeys((18, 19), on("2025-05-13"))
        history = seen(numbers=[18, 19], events=events)

        assert 18 == events_behind(history, 18, 0)

    def test_withdrawn(self):
        """
        A number that the vendor has withdrawn is one all the same.
        """
        gone = dataclasses.replace(
            HISTORY[17], is_signed_now=False, withdrawn=on("2026-01-01")
        )

        assert 17 == events_behind({**HISTORY, 17: gone}, 18, 1)

    def test_too_few(self):
        """
        Where there are too few the message names what there is.
        """
        with pytest.raises(
            NotFoundError,
            match=r"lies 4 TCB recovery events behind 20, only "
            r"20 \(2025-08-12\), 19 \(2025-05-13\), 18 .*, 17 \(2024-03-12\)$",
        ) as e:
            events_behind(HISTORY, 20, 4)

        assert "rule-yields-nothing" == e.value.reason

    @pytest.mark.parametrize("number", [10, 99])
    def test_unknown_event(self, number):
        """
        Of a number whose event no list has named nothing can be said.
        """
        dates = DocumentDates(issued=on("2025-01-01"), next_update=None)
        history = {**HISTORY, **make_history({}, [], {10: dates})}

        with pytest.raises(
            NotFoundError, match=f"event of number {number} is not known"
        ) as e:
            events_behind(history, number, 0)

        assert "rule-yields-nothing" == e.value.reason

    def test_nothing_known(self):
        """
        Where nothing is known that is said.
        """
        with pytest.raises(NotFoundError, match="only of none"):
            events_behind({}, 20, 1)


histories = st.dictionaries(
    st.integers(10, 25), st.integers(0, 6), min_size=1
).map(
    lambda found: {
        number: NumberHistory(
            number=number, recovery_event=on("2025-01-01") + event * DAY
        )
        for number, event in found.items()
    }
)


class TestProperties:
    @settings(max_examples=80)
    @given(histories, st.data())
    def test_one_more_is_older(self, history, data):
        """
        One step more is another number, of an older event, until there are no
        more; its order in the history does not matter.
        """
        number = data.draw(st.sampled_from(sorted(history)))
        other = dict(data.draw(st.permutations(list(history.items()))))
        found = number
        for count in range(1, 20):
            try:
                behind = events_behind(history, number, count)
            except NotFoundError:
                break
            assert behind == events_behind(other, number, count)
            assert behind < number
            assert (
                history[behind].recovery_event < history[found].recovery_event
            )
            found = behind
