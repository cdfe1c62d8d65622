"""
Lists and histories of evaluation numbers, as Intel's were.
"""

import datetime

from collections.abc import Iterable, Mapping
from typing import Any

from thim.baseline.history import Sighting, make_history, read_lists
from thim.intel.names import Tee, Update
from thim.intel.numbers import EvaluationNumber, NumberList


DAY = datetime.timedelta(days=1)
EVENTS = {
    13: datetime.datetime(2022, 8, 9, tzinfo=datetime.UTC),
    14: datetime.datetime(2022, 11, 8, tzinfo=datetime.UTC),
    15: datetime.datetime(2023, 2, 14, tzinfo=datetime.UTC),
    16: datetime.datetime(2023, 8, 8, tzinfo=datetime.UTC),
    17: datetime.datetime(2024, 3, 12, tzinfo=datetime.UTC),
    18: datetime.datetime(2024, 11, 12, tzinfo=datetime.UTC),
    19: datetime.datetime(2025, 5, 13, tzinfo=datetime.UTC),
    20: datetime.datetime(2025, 8, 12, tzinfo=datetime.UTC),
}


def on(text: str) -> datetime.datetime:
    """
    Read a day.
    """
    return datetime.datetime.fromisoformat(f"{text}T00:00:00+00:00")


def standard(number: int, day: str) -> Sighting:
    """
    See ``standard`` point to *number* on a *day*.
    """
    return Sighting(update=Update.STANDARD, number=number, seen=on(day))


def early(number: int, day: str) -> Sighting:
    """
    See ``early`` point to *number* on a *day*.
    """
    return Sighting(update=Update.EARLY, number=number, seen=on(day))


#: What is known of Intel's: 19 was passed over.
AT_17 = standard(17, "2025-05-27")
TO_18 = standard(18, "2025-11-18")
TO_20 = standard(20, "2026-08-13")


def number_list(
    issued: datetime.datetime,
    numbers: Iterable[int] = (20, 19, 18, 17),
    tee: Tee = Tee.SGX,
    events: Mapping[int, datetime.datetime] = EVENTS,
) -> NumberList:
    """
    Make a list of *numbers* that was *issued* then.
    """
    return NumberList(
        tee=tee,
        version=1,
        issue_date=issued,
        next_update=issued + 30 * DAY,
        numbers=tuple(
            EvaluationNumber(
                number=number,
                recovery_event=events[number],
                tcb_date=events[number] + DAY,
            )
            for number in numbers
        ),
    )


def seen(
    *sightings: Sighting,
    numbers: Iterable[int] = (20, 19, 18, 17),
    events: Mapping[int, datetime.datetime] = EVENTS,
) -> Any:
    """
    Make the history of *numbers*, all listed, and of what was seen.
    """
    listed = read_lists(
        [number_list(on("2025-09-01"), numbers, tee, events) for tee in Tee]
    )
    return make_history(listed, sightings, {})
