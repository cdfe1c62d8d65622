"""
Tenants in lists: those with trouble first, and which of them are wanted.
"""

from __future__ import annotations

import dataclasses
import json
import urllib.parse

from typing import TYPE_CHECKING, Any, Final

from thim.errors import ParameterError
from thim.services.tenant_states import find_state
from thim.store.outlook_view import OutlookView


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from thim.baseline.model import Tenant
    from thim.http.console.visit import Visit
    from thim.services.tenant_states import TenantState
    from thim.store.replica import Replica

#: Which of Intel's statuses are at the baseline, and which are to be looked
#: at; all others are behind.
_STANDINGS: Final = {
    "UpToDate": "good",
    "SWHardeningNeeded": "good",
    "ConfigurationNeeded": "soon",
    "ConfigurationAndSWHardeningNeeded": "soon",
}
#: What the colours of those mean.
LEGEND: Final = {
    "at the baseline": "good",
    "to be configured": "soon",
    "behind, or no document": "bad",
}
_TROUBLE: Final = "trouble"
#: What there is to choose from.
CHOICES: Final = {"": "all", _TROUBLE: "with trouble, the worst first"}


def sort_standing(standing: str) -> str:
    """
    Return the colour of how a platform stands.
    """
    return _STANDINGS.get(standing, "bad")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    A tenant: its *state*, and the *outlook* of its platforms where that was
    worked out.
    """

    state: TenantState
    outlook: Mapping[str, Any] | None

    @property
    def behind(self) -> int:
        """
        How many verdicts on its platforms are bad.
        """
        standings = self.outlook["standings"] if self.outlook else ()
        return sum(
            each["platforms"]
            for each in standings
            if sort_standing(each["standing"]) == "bad"
        )

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """
        What comes first in a list: the lower, the worse.
        """
        is_nowhere = self.state.trouble is not None
        return not is_nowhere, -self.behind, self.state.is_signing

    @property
    def has_trouble(self) -> bool:
        """
        Whether somebody should look: it stands nowhere, platforms are behind,
        or its number is not signed any more.
        """
        return self.rank != (True, 0, True)


def rank_tenants(
    replica: Replica, tenants: Sequence[Tenant], now: datetime
) -> list[Row]:
    """
    Return *tenants*, those with most trouble first, else in their order.
    """
    bodies = OutlookView(replica).bodies()
    rows = [
        Row(
            state=find_state(replica, tenant, now),
            outlook=json.loads(bodies[tenant.name])
            if tenant.name in bodies
            else None,
        )
        for tenant in tenants
    ]
    return sorted(rows, key=lambda row: row.rank)


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """
    Which tenants are wanted: those whose name or host names hold *text*, and
    of these *which*, a key of ``CHOICES``.
    """

    text: str = ""
    which: str = ""

    @property
    def address(self) -> str:
        """
        The page that lists them, to which ``page=N`` may be added.
        """
        kept = {"text": self.text, "which": self.which}
        query = urllib.parse.urlencode({k: v for k, v in kept.items() if v})
        return f"/console/tenants?{query}&" if query else "/console/tenants?"

    def choose(
        self, replica: Replica, tenants: Sequence[Tenant], now: datetime
    ) -> Sequence[Tenant]:
        """
        Return those of *tenants* that are wanted.
        """
        text = self.text.lower()
        found = {
            each.name: each
            for each in tenants
            if any(text in name for name in (each.name, *each.hosts))
        }
        if self.which != _TROUBLE:
            return list(found.values())
        rows = rank_tenants(replica, list(found.values()), now)
        return [found[row.state.tenant] for row in rows if row.has_trouble]


def read_wanted(visit: Visit) -> Wanted:
    """
    Read which tenants a *visit* asks for.

    Raises:
        ParameterError: It asks for what there is no choice of.
    """
    query = visit.query
    wanted = Wanted(query.get("text", "").strip(), query.get("which", ""))
    if wanted.which not in CHOICES:
        raise ParameterError("which", wanted.which, f"expected {_TROUBLE}")
    return wanted
