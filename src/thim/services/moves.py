"""
Which tenants go from which number to which by a change.
"""

from __future__ import annotations

import dataclasses

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from thim.baseline.definition import Kind
from thim.baseline.model import Baseline, Number
from thim.baseline.rollout import Impact
from thim.baseline.select import Standing, choose_held
from thim.errors import NotFoundError
from thim.services.landscape import complete, read_landscape
from thim.services.promotions import require_pending


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.model import Tenant
    from thim.baseline.rollout import Plan, Step
    from thim.store.replica import Replica

#: Works out what it does to a tenant's platforms to go from one baseline to
#: another, given with the numbers at which they stand.
Judge: TypeAlias = Callable[["Move"], Impact]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """
    A tenant goes from one baseline to another.
    """

    tenant: Tenant
    baseline_before: Baseline
    baseline_after: Baseline
    before: int | None
    after: int | None


def list_moves(
    replica: Replica, steps: Iterable[Step], now: datetime, since: datetime
) -> Sequence[Move]:
    """
    List which tenants go from which baseline to which by *steps*, which hold
    from *since* on.
    """
    book = replica.book()
    moves = []
    for step in steps:
        if step.kind is Kind.TENANT:
            tenant = book.find_tenant(step.name, now, now)
            changed = book.read_tenant(step.name, step.version)
            if changed is None:
                continue
            after = book.find_baseline(
                changed.baseline, since, since, step.name
            )
            moves.append(make_move(replica, tenant, after, now))
        else:
            baseline = book.read_baseline(step.name, step.version)
            moves += [
                make_move(replica, tenant, baseline, now)
                for tenant in book.tenants(now)
                if tenant.baseline == step.name
                and step.tenant in {None, tenant.name}
            ]
    return moves


def list_plan_moves(
    replica: Replica, plan: Plan, steps: Iterable[Step], now: datetime
) -> Sequence[Move]:
    """
    List which tenants go from which baseline to which by these *steps* of
    *plan*, each tenant once.
    """
    since = plan.find_effective(now) or now
    moves = list_moves(replica, steps, now, since)
    # A canary is in the last stage too.
    return list({move.tenant.name: move for move in moves}.values())


def list_promotion_moves(
    replica: Replica, baseline: Baseline, now: datetime
) -> Sequence[Move]:
    """
    List which tenants go from where a held *baseline* stands to where it waits
    to go.

    Raises:
        ConflictError: It waits for nothing.
    """
    book = replica.book()
    pending = require_pending(book, baseline, now)
    there = Baseline(
        name=baseline.name,
        rule=Number(number=pending.number),
        minimums=baseline.minimums,
    )
    return [
        make_move(replica, tenant, there, now)
        for tenant in list_users(book, baseline, now)
    ]


def list_users(
    book: Book, baseline: Baseline, now: datetime
) -> Sequence[Tenant]:
    """
    List the tenants for whom this version of *baseline* is in force.
    """
    return [
        tenant
        for tenant in book.tenants(now)
        if tenant.baseline == baseline.name
        and book.find_baseline(baseline.name, now, now, tenant.name) == baseline
    ]


def make_move(
    replica: Replica, tenant: Tenant, after: Baseline, now: datetime
) -> Move:
    """
    Find at which numbers *tenant* stands, and would stand under *after*.
    """
    book = replica.book()
    before = book.find_baseline(tenant.baseline, now, now, tenant.name)
    return Move(
        tenant=tenant,
        baseline_before=before,
        baseline_after=after,
        before=find_position(replica, tenant, before, now),
        after=find_position(replica, tenant, after, now),
    )


def find_position(
    replica: Replica, tenant: Tenant, baseline: Baseline, now: datetime
) -> int | None:
    """
    Find at which number *tenant* would stand under *baseline*; None where
    that comes to none.
    """
    standing = Standing(
        tenant=tenant,
        own=baseline,
        chosen=baseline,
        book=replica.book(),
        at=now,
    )
    landscape = complete(read_landscape(replica), baseline, replica)
    try:
        return choose_held(standing, baseline, landscape).number
    except NotFoundError:
        return None
