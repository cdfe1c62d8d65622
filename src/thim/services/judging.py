"""
What a change of baseline does to a tenant's platforms.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING

from thim.baseline.rollout import Impact
from thim.services.number_watch import list_news_moves
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from thim.services.moves import Judge, Move


@contextlib.contextmanager
def make_judge(store: Path, now: datetime) -> Iterator[Judge]:
    """
    Judge by the platforms that *store* knows.
    """
    del store, now

    def judge(move: Move) -> Impact:
        return Impact(
            tenant=move.tenant.name, before=move.before, after=move.after
        )

    yield judge


def judge_number(store: Path, number: int, now: datetime) -> list[Impact]:
    """
    Work out what it would do to each tenant to go to *number*.
    """
    with (
        contextlib.closing(Replica(store)) as replica,
        make_judge(store, now) as judge,
    ):
        moves = list_news_moves(replica, number, now)
        return [judge(move) for move in moves]
