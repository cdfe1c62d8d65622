"""
Watch for TCB recoveries: a new evaluation number at the vendor is told at once,
with what it would do to each tenant.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.forecast import forecast_promotion
from thim.baseline.model import Baseline, Number
from thim.collateral.records import tcb_info_key
from thim.services.baseline_views import describe_impact
from thim.services.moves import make_move
from thim.store.notice_view import NoticeView


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from thim.baseline.rollout import Impact
    from thim.intel.names import Tee
    from thim.services.moves import Move
    from thim.store.replica import Replica

#: What a notice of one is called.
NEW_NUMBER: Final = "evaluation-number"
_ALL: Final = 10**9
_STRUCTURE: Final = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """
    A *number* that the vendor was not known to have.  It *is_old* where nothing
    was known before, or a higher one was: then nobody is told.
    """

    number: int
    is_old: bool


def find_news(replica: Replica) -> Sequence[News]:
    """
    Find the numbers that the vendor signs or points to and that nobody was
    told of, the lowest first.
    """
    told = NoticeView(replica).subjects(NEW_NUMBER)
    newest = max(map(int, told), default=_ALL)
    return [
        News(number=number, is_old=number < newest)
        for number, entry in sorted(replica.number_history().items())
        if str(number) not in told
        and (entry.first_listed or entry.promotion or entry.disclosure)
    ]


def has_documents(
    replica: Replica, number: int, fmspcs: Iterable[tuple[str, Tee]]
) -> bool:
    """
    Tell whether there is a TCB info of *number* for all of *fmspcs*, as far as
    the number before has one.
    """
    before = max((n for n in replica.numbers() if n < number), default=None)
    keys = [
        tcb_info_key(tee, bytes.fromhex(fmspc), _STRUCTURE)
        for fmspc, tee in fmspcs
    ]
    return all(
        replica.find(key, number) is not None
        for key in keys
        if before is not None and replica.find(key, before) is not None
    )


def list_news_moves(
    replica: Replica, number: int, now: datetime
) -> Sequence[Move]:
    """
    List what it would be for each tenant to go to *number*.
    """
    there = Baseline(name=str(number), rule=Number(number=number))
    return [
        make_move(replica, tenant, there, now)
        for tenant in replica.book().tenants(now)
    ]


def describe_news(
    replica: Replica, news: News, impacts: Sequence[Impact]
) -> dict[str, Any]:
    """
    Say what is known of a new number, and what it would do.
    """
    history = replica.number_history()
    entry = history[news.number]
    forecast = forecast_promotion(history, news.number)
    event, date = entry.recovery_event, entry.tcb_date
    return {
        "number": news.number,
        "recovery_event": None if event is None else f"{event:%F}",
        "tcb_date": None if date is None else f"{date:%F}",
        "standard_expected": None if forecast is None else f"{forecast.at:%F}",
        "forecast": "unknown" if forecast is None else forecast.confidence,
        "tenants": [describe_impact(impact) for impact in impacts],
    }
