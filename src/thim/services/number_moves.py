"""
Which baselines that tenants have stand at another number than was told last.

A floating baseline without a hold moves when its rule does: that is told too,
though it can be undone only by a plan.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.model import Baseline, Number
from thim.services.baseline_views import describe_impact
from thim.services.moves import find_position, make_move
from thim.store.notice_view import NoticeView


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.baseline.model import Tenant
    from thim.baseline.rollout import Impact
    from thim.services.moves import Move
    from thim.store.replica import Replica

#: What a notice of one is called.
MOVED: Final = "baseline-moved"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NumberMove:
    """
    A *baseline* stands at *after*, and stood at *before* when that was told
    last; *before* is None where nothing was told yet, so that nobody is.
    *sequence* counts what was told.
    """

    baseline: Baseline
    before: int | None
    after: int
    tenants: tuple[Tenant, ...]
    sequence: int

    @property
    def subject(self) -> str:
        """What the notice is about: ``NoticeView.newest_of_each`` reads it."""
        return f"{_name(self.baseline)}#{self.sequence}:{self.after}"


def _name(baseline: Baseline) -> str:
    return f"{baseline.name}@{baseline.version}"


def find_number_moves(replica: Replica, now: datetime) -> list[NumberMove]:
    """
    Find which baselines that tenants have stand at another number than was
    told last.
    """
    told = NoticeView(replica).newest_of_each(MOVED)
    return list(_find_moves(replica, told, now))


def _find_moves(
    replica: Replica, told: dict[str, tuple[int, int]], now: datetime
) -> Iterator[NumberMove]:
    book = replica.book()
    used: dict[str, list[Tenant]] = {}
    baselines: dict[str, Baseline] = {}
    for tenant in book.tenants(now):
        found = book.find_baseline(tenant.baseline, now, now, tenant.name)
        if not isinstance(found.rule, Number):
            baselines[_name(found)] = found
            used.setdefault(_name(found), []).append(tenant)
    for name, baseline in baselines.items():
        tenants = used[name]
        number = find_position(replica, tenants[0], baseline, now)
        sequence, before = told.get(name, (0, None))
        if number is not None and before != number:
            yield NumberMove(
                baseline=baseline,
                before=before,
                after=number,
                tenants=tuple(tenants),
                sequence=sequence + 1,
            )


def list_tenant_moves(
    replica: Replica, move: NumberMove, now: datetime
) -> Sequence[Move]:
    """
    List from where to where the tenants of a baseline went.
    """
    if move.before is None:
        return ()
    here = Baseline(
        name=move.baseline.name,
        rule=Number(number=move.before),
        minimums=move.baseline.minimums,
    )
    return [
        dataclasses.replace(
            make_move(replica, tenant, move.baseline, now),
            baseline_before=here,
            before=move.before,
            after=move.after,
        )
        for tenant in move.tenants
    ]


def describe_number_move(
    move: NumberMove, impacts: Sequence[Impact]
) -> dict[str, Any]:
    """
    Say which baseline has moved, and what that does.
    """
    return {
        "baseline": move.baseline.name,
        "version": move.baseline.version,
        "before": move.before,
        "number": move.after,
        "tenants": [describe_impact(impact) for impact in impacts],
    }
