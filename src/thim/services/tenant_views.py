"""
What is to be said of tenants: for people, and for programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thim.attestation.kind import AttestationType
from thim.attestation.policy.hashes import policy_hash
from thim.attestation.policy.limits import MAX_DRAFT_SIZE
from thim.attestation.policy.parse import parse_policy
from thim.attestation.policy_signer import spell_thumbprint
from thim.baseline.provider import TrustModel
from thim.baseline.provider_definition import describe_provider
from thim.errors import ThimError
from thim.services.attestation_policies import find_policy
from thim.services.serve import find_number
from thim.store.attestation_view import AttestationView


if TYPE_CHECKING:
    from datetime import datetime

    from thim.baseline.model import Tenant
    from thim.store.replica import Replica


def describe_policies(replica: Replica, tenant: Tenant) -> list[dict[str, Any]]:
    """
    Say which attestation policy of each type is in force for *tenant*, who
    sent it and when, and the how manieth of its own that is: 0 for the default
    policy.  *hash* is as tokens have it, *language* the version that the
    policy is written in; of the longest, which take a second to read, it is
    not told.
    """
    view = AttestationView(replica)
    is_shared = tenant.provider.trust is TrustModel.SHARED
    rows = []
    for kind in AttestationType:
        past = () if is_shared else view.history(tenant.name, kind.value)
        newest = past[-1] if past and past[-1].jws is not None else None
        found = find_policy(replica, tenant, kind)
        rows.append(
            {
                "type": kind.value,
                "version": len(past) if newest else 0,
                "since": newest and f"{newest.at:%FT%TZ}",
                "actor": newest and newest.actor,
                "signer": found.signer and spell_thumbprint(found.signer.der),
                **_describe_text(found.text),
            }
        )
    return rows


def _describe_text(text: str | None) -> dict[str, Any]:
    if text is None:
        return {"text": None, "hash": None, "language": None}
    return {
        "text": text,
        "hash": policy_hash(text),
        "language": parse_policy(text).version
        if len(text) <= MAX_DRAFT_SIZE
        else None,
    }


def describe_certificates(
    replica: Replica, tenant: Tenant
) -> list[dict[str, Any]]:
    """
    Say with which certificates policies of *tenant* may be signed.
    """
    return [
        {
            "thumbprint": spell_thumbprint(stored.der),
            "added": f"{stored.added:%FT%TZ}",
            "actor": stored.actor,
        }
        for stored in AttestationView(replica).certificates(tenant.name)
    ]


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
