"""
What a change of baseline does, worked out in a process of its own.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING, Any, Final

from thim.services.apart import Apart


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.baseline.rollout import Impact
    from thim.services.moves import Judge, Move

_JUDGE: Final = "thim.services.judging:open_judge"


@contextlib.contextmanager
def judging_apart(store: Path, now: datetime) -> Iterator[Judge]:
    """
    Judge by the platforms that *store* knows; nothing is loaded before the
    first move.
    """
    with contextlib.ExitStack() as stack:
        opened: list[Apart] = []

        def judge(move: Move) -> Impact:
            if not opened:
                opened.append(stack.enter_context(Apart(_JUDGE, store, now)))
            impact: Impact = opened[0].call("judge", move)
            return impact

        yield judge


def ask_apart(
    store: Path, now: datetime, baseline: str, tenant: str, limit: int
) -> dict[str, Any]:
    """
    Say what *baseline* would make of the platforms of *tenant*
    (``FleetJudge.ask``).

    Raises:
        NotFoundError: There is no such tenant or baseline.
    """
    with Apart(_JUDGE, store, now) as apart:
        answer: dict[str, Any] = apart.call("ask", baseline, tenant, limit)
    return answer


def find_outlooks(store: Path, now: datetime) -> dict[str, dict[str, Any]]:
    """
    Say of each tenant how its platforms stand (``FleetJudge.outlooks``).
    """
    with Apart(_JUDGE, store, now) as apart:
        found: dict[str, dict[str, Any]] = apart.call("outlooks")
    return found


def judge_moves(
    store: Path, moves: Sequence[Move], now: datetime
) -> Sequence[Impact]:
    """
    Work out what each of *moves* does.
    """
    with judging_apart(store, now) as judge:
        return [judge(move) for move in moves]


def judge_number(store: Path, number: int, now: datetime) -> Sequence[Impact]:
    """
    Work out what it would do to each tenant to go to *number*.
    """
    with Apart(_JUDGE, store, now) as apart:
        impacts: Sequence[Impact] = apart.call("judge_number", number)
    return impacts
