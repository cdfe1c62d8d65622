"""
Rules as people write them: ``standard``, ``number: 19``, ``trailing: 540d``,
``lag: 1 event``, ``tcb-date: 2025-06-06``.
"""

from __future__ import annotations

import datetime
import re

from typing import TYPE_CHECKING, Final

from thim.baseline.model import (
    Approval,
    Channel,
    Lag,
    Number,
    TcbDate,
    Trailing,
)
from thim.errors import ParameterError
from thim.intel.names import Update


if TYPE_CHECKING:
    from collections.abc import Callable

    from thim.baseline.model import Rule

_EXPECTED: Final = (
    "expected early, standard, number: N, trailing: 540d, lag: 1 event or "
    "tcb-date: 2025-06-06"
)
_DAYS: Final = re.compile(r"([1-9]\d{0,3}) ?d(?:ays?)?", re.ASCII)
_EVENTS: Final = re.compile(r"([1-9]\d?)(?: ?events?)?", re.ASCII)
_NUMBER: Final = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def parse_rule(text: str, parameter: str = "rule") -> Rule:
    """
    Read a rule; *parameter* is what errors call it.

    Raises:
        ParameterError: It is none.
    """
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not colon and name in {update.value for update in Update}:
        return Channel(update=Update(name))
    if not colon and _NUMBER.fullmatch(name):
        return Number(number=int(name))
    read = _READERS.get(name) if colon else None
    rule = None if read is None else read(value)
    if rule is None:
        raise ParameterError(parameter, text, _EXPECTED)
    return rule


def _read_number(text: str) -> Rule | None:
    match = _NUMBER.fullmatch(text)
    return Number(number=int(text)) if match else None


def _read_trailing(text: str) -> Rule | None:
    age = parse_days(text)
    return None if age is None else Trailing(age=age)


def _read_lag(text: str) -> Rule | None:
    match = _EVENTS.fullmatch(text)
    return Lag(events=int(match[1])) if match else None


def _read_date(text: str) -> Rule | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        day = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return TcbDate(date=day.replace(tzinfo=datetime.UTC))


_READERS: Final[dict[str, Callable[[str], Rule | None]]] = {
    "number": _read_number,
    "trailing": _read_trailing,
    "lag": _read_lag,
    "tcb-date": _read_date,
}


def parse_days(text: str) -> datetime.timedelta | None:
    """
    Read a number of days such as ``14d``; None where it is none.
    """
    match = _DAYS.fullmatch(text.strip())
    return datetime.timedelta(days=int(match[1])) if match else None


def parse_hold(
    text: str, parameter: str = "hold"
) -> datetime.timedelta | Approval:
    """
    Read for how long a floating rule is held.

    Raises:
        ParameterError: Neither a number of days nor ``until-approved``.
    """
    if text.strip() == Approval.UNTIL_APPROVED.value:
        return Approval.UNTIL_APPROVED
    days = parse_days(text)
    if days is None:
        expected = "expected days such as 14d, or until-approved"
        raise ParameterError(parameter, text, expected)
    return days


def spell_rule(rule: Rule) -> str:
    """
    Write *rule* as `parse_rule` reads it.
    """
    match rule:
        case Channel():
            return rule.update.value
        case Number():
            return f"number: {rule.number}"
        case Trailing():
            return f"trailing: {rule.age.days}d"
        case Lag():
            return f"lag: {rule.events} event{'s' * (rule.events > 1)}"
        case TcbDate():
            # strftime leaves out the zeros of the first millennium.
            return f"tcb-date: {rule.date.date().isoformat()}"


def spell_hold(hold: datetime.timedelta | Approval) -> str:
    """
    Write *hold* as `parse_hold` reads it.
    """
    return hold.value if isinstance(hold, Approval) else f"{hold.days}d"
