"""
Where the tenants stand: what an operator must know, and what is measured.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.baseline.select import Wish, find_standing, is_withdrawn, resolve
from thim.errors import ThimError
from thim.services.landscape import complete, read_landscape
from thim.services.promotions import find_pending, held_baselines
from thim.services.status import Concern, Level


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.baseline.model import Tenant
    from thim.store.replica import Replica

#: So many tenants are named that have one trouble.
_NAMED: Final = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TenantState:
    """
    Where a tenant stands: at *number*, which the vendor *is_signing*, or
    nowhere, because of *trouble*.
    """

    tenant: str
    baseline: str
    number: int | None
    is_signing: bool
    trouble: str | None = None


def list_states(replica: Replica, now: datetime) -> Sequence[TenantState]:
    """
    List where all tenants stand.
    """
    book = replica.book()
    return [find_state(replica, tenant, now) for tenant in book.tenants(now)]


def find_state(replica: Replica, tenant: Tenant, now: datetime) -> TenantState:
    """
    Find where *tenant* stands.
    """
    name, baseline = tenant.name, tenant.baseline
    wish, landscape = Wish(tenant=name), read_landscape(replica)
    try:
        standing = find_standing(wish, replica.book(), None, now)
        landscape = complete(landscape, standing.chosen, replica)
        number = resolve(wish, standing, landscape).number
    except ThimError as e:
        return TenantState(
            tenant=name,
            baseline=baseline,
            number=None,
            is_signing=False,
            trouble=str(e),
        )
    return TenantState(
        tenant=name,
        baseline=baseline,
        number=number,
        is_signing=not is_withdrawn(number, landscape),
    )


def find_tenant_concerns(replica: Replica, now: datetime) -> Iterator[Concern]:
    """
    Find what an operator must know of tenants and their baselines.
    """
    if not read_landscape(replica).known:
        return  # nothing is archived yet, which is said already
    for trouble, names in _group_troubles(list_states(replica, now)).items():
        yield Concern(
            level=Level.NOW,
            reason="tenant-without-number",
            detail=f"{_spell_tenants(names)}: {trouble}",
        )
    for baseline in held_baselines(replica.book(), now):
        pending = find_pending(replica.book(), baseline, now)
        if pending is not None and pending.effective is None:
            detail = (
                f"baseline {baseline.name} waits to be approved for number "
                f"{pending.number} since {pending.noticed:%FT%TZ}"
            )
            yield Concern(
                level=Level.SOON, reason="promotion-pending", detail=detail
            )


def _group_troubles(states: Sequence[TenantState]) -> dict[str, list[str]]:
    """Name the tenants that stand nowhere, by the trouble that they share."""
    found: dict[str, list[str]] = {}
    for state in states:
        if state.trouble is not None:
            found.setdefault(state.trouble, []).append(state.tenant)
    return found


def _spell_tenants(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"tenant {names[0]}"
    more = len(names) - _NAMED
    rest = f" and {more} more" if more > 0 else ""
    return f"tenants {', '.join(names[:_NAMED])}{rest}"
