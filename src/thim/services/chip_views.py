"""
What is shown of AMD machines: how each meets the minimum of the tenants.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.minimum import list_shortfalls, list_unjudged
from thim.errors import NotFoundError


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.baseline.minimum import Minimum, Shortfall
    from thim.baseline.model import Tenant
    from thim.collateral.chips import Chip
    from thim.store.replica import Replica


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChipMinimum:
    """
    The least TCB of a product line for a *tenant* by its *baseline*; None
    where that has no opinion.
    """

    tenant: str
    baseline: str
    minimum: Minimum | None

    def list_short(self, chip: Chip) -> tuple[Shortfall, ...]:
        """
        List in which components *chip* is below it.
        """
        if self.minimum is None:
            return ()
        # The silicon is not told, so nobody can say of the microcode.
        return tuple(list_shortfalls(chip.tcb, self.minimum, None))

    def list_unjudged(self, chip: Chip) -> tuple[str, ...]:
        """
        List the components of *chip* on which there is no opinion.
        """
        if self.minimum is None:
            return chip.tcb.product.components
        return list_unjudged(chip.tcb, self.minimum, None)


def list_minimums(
    replica: Replica, chip: Chip, now: datetime
) -> Sequence[ChipMinimum]:
    """
    List what the tenants that have chips ask of one like *chip*.

    Chips have no labels: none is of a tenant that is told by them.

    Raises:
        UnavailableError: The store cannot be read.
    """
    return [
        ChipMinimum(
            tenant=tenant.name,
            baseline=tenant.baseline,
            minimum=_find_minimum(replica, tenant, chip, now),
        )
        for tenant in replica.book().tenants(now)
        if not tenant.labels
    ]


def _find_minimum(
    replica: Replica, tenant: Tenant, chip: Chip, now: datetime
) -> Minimum | None:
    book = replica.book()
    try:
        baseline = book.find_baseline(tenant.baseline, now, now, tenant.name)
    except NotFoundError:
        return None
    return baseline.minimums.get(chip.product)
