"""
What is to be said of tenants: for people, and for programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thim.errors import ThimError
from thim.services.serve import find_number


if TYPE_CHECKING:
    from datetime import datetime

    from thim.baseline.model import Tenant
    from thim.store.replica import Replica


def describe_tenant(
    replica: Replica, tenant: Tenant, now: datetime
) -> dict[str, Any]:
    """
    Say what *tenant* is, and at which number it stands.
    """
    quota = tenant.quota
    try:
        number: int | None = find_number(replica, tenant.name, now)
        trouble = None
    except ThimError as e:
        number, trouble = None, str(e)
    return {
        "name": tenant.name,
        "baseline": tenant.baseline,
        "number": number,
        "trouble": trouble,
        "overrides": tenant.overrides.value,
        "hosts": list(tenant.hosts),
        "labels": dict(tenant.labels),
        "quota": f"{quota.requests}/min per {quota.per.value}"
        if quota
        else None,
        "version": tenant.version,
    }
