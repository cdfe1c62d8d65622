"""
What is sent to the admin API about baselines and plans.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from msgspec import Meta

from thim.baseline.definition import BaselineJson
from thim.http.prefixes import INSTANT_PATTERN


#: How many platforms that break are named at most.
MOST_NAMED: Final = 100_000
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Effective = Annotated[
    str,
    Meta(max_length=40, extra_json_schema={"pattern": INSTANT_PATTERN}),
]


class PlanWanted(msgspec.Struct, forbid_unknown_fields=True):
    """Either `definition`, or `tenants` that go to the baseline."""

    baseline: Annotated[str, Meta(max_length=63)]
    reason: Reason
    definition: BaselineJson | None = None
    tenants: Annotated[list[str], Meta(max_length=10_000)] = []
    canaries: Annotated[list[str], Meta(max_length=10_000)] = []
    effective: Effective | None = None


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """Why, and whether more may break than the service allows."""

    reason: Reason
    break_more_than_allowed: bool = False


class OwnBaseline(msgspec.Struct, forbid_unknown_fields=True):
    """Where a tenant goes, and why."""

    baseline: Annotated[str, Meta(max_length=63)]
    reason: Reason
