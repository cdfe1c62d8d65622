"""
What is to be said of tenants: for people, and for programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thim.attestation.policy_signer import spell_thumbprint
from thim.baseline.provider_definition import describe_provider
from thim.errors import ThimError
from thim.services.serve import find_number
from thim.store.attestation_view import AttestationView


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
        "attestation": describe_provider(tenant.provider),
        "policy_certificates": [
            spell_thumbprint(stored.der)
            for stored in AttestationView(replica).certificates(tenant.name)
        ],
    }
