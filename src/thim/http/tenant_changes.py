"""
Changes of tenants as they are asked for over HTTP, by programs and by people.
"""

from __future__ import annotations

import asyncio
import contextlib

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from msgspec import Meta

from thim.baseline.definition import (
    MOST_HOSTS,
    MOST_LABELS,
    LabelKey,
    LabelValue,
    find_usual,
    read_tenant,
    write_tenant,
)
from thim.baseline.model import Overrides, Per, Quota, Tenant
from thim.baseline.provider_definition import ProviderJson, read_provider
from thim.errors import ParameterError
from thim.http.pccs_calls import writing
from thim.services.provider_checks import read_policy_certificate
from thim.services.tenant_views import describe_tenant
from thim.store.attestation_view import MOST_CERTIFICATES
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.baseline.provider import Provider
    from thim.http.service import Service
    from thim.services.deciding import Decider, Decision
    from thim.services.tokens import Principal

MOST_REASON: Final = 500


class QuotaWanted(msgspec.Struct, forbid_unknown_fields=True):
    """How often a tenant's callers may ask in a minute."""

    requests: Annotated[int, Meta(ge=1, le=1_000_000)]
    per: Per = Per.SOURCE


class TenantWanted(msgspec.Struct, forbid_unknown_fields=True):
    """
    A tenant as it shall be; where `attestation` is left out the present one
    stays, and `baseline` of a tenant that is there changes by a plan only.
    """

    reason: Annotated[str, Meta(min_length=1, max_length=MOST_REASON)]
    baseline: Annotated[str, Meta(max_length=63)] | None = None
    overrides: Overrides = Overrides.NEVER
    hosts: Annotated[list[str], Meta(max_length=MOST_HOSTS)] = []
    labels: Annotated[
        dict[LabelKey, LabelValue], Meta(max_length=MOST_LABELS)
    ] = {}
    quota: QuotaWanted | None = None
    attestation: ProviderJson | None = None
    policy_certificates: Annotated[
        list[str], Meta(max_length=MOST_CERTIFICATES)
    ] = []


async def put_tenant(
    service: Service,
    principal: Principal,
    name: str,
    wanted: TenantWanted,
    seen: int | None,
) -> dict[str, Any]:
    """
    Create a tenant, or put it as *wanted* in the place of its version *seen*,
    away from the event loop; return what is to be said of it then.

    Raises:
        ThimError: It cannot be so; the message says why.
    """
    certificates = [
        read_policy_certificate(pem, "policy_certificates")
        for pem in wanted.policy_certificates
    ]

    def keep() -> dict[str, Any]:
        with _deciding(service, principal, wanted.reason) as (decider, made):
            if seen is None:
                created = _make_tenant(name, wanted, None)
                decider.create_tenant(created, made, certificates)
            else:
                now = made.now
                current = decider.book.find_tenant(name, now, now)
                changed = _make_tenant(name, wanted, current)
                decider.change_tenant(
                    changed, made, seen=seen, certificates=certificates
                )
        with contextlib.closing(Replica(service.settings.store)) as replica:
            now = service.clock()
            tenant = replica.book().find_tenant(name, now, now)
            return describe_tenant(replica, tenant, now)

    found = await asyncio.to_thread(keep)
    service.upkeep.catch_up()
    return found


async def delete_tenant(
    service: Service, principal: Principal, name: str, reason: str
) -> None:
    """
    Let there be no such tenant any more.

    Raises:
        NotFoundError: There is none.
        ParameterError: It is the root.
    """

    def keep() -> None:
        with _deciding(service, principal, reason) as (decider, decision):
            decider.delete_tenant(name, decision)

    await asyncio.to_thread(keep)
    service.upkeep.catch_up()


def _make_tenant(
    name: str, wanted: TenantWanted, current: Tenant | None
) -> Tenant:
    usual = "default" if current is None else current.baseline
    baseline = wanted.baseline or usual
    if current is not None and baseline != current.baseline:
        expected = (
            f"expected {current.baseline}: a plan moves a tenant to another"
        )
        raise ParameterError("baseline", baseline, expected)
    tenant = Tenant(
        name=name,
        baseline=baseline,
        overrides=wanted.overrides,
        hosts=tuple(wanted.hosts),
        labels=wanted.labels,
        quota=Quota(requests=wanted.quota.requests, per=wanted.quota.per)
        if wanted.quota
        else None,
        provider=_find_provider(name, wanted, current),
    )
    read = read_tenant(name, 0, write_tenant(tenant))
    if read is None:
        raise AssertionError  # it is not deleted
    return read


def _find_provider(
    name: str, wanted: TenantWanted, current: Tenant | None
) -> Provider:
    """Read the attestation side; where none is given the present one stays."""
    usual = find_usual(name)
    if wanted.attestation is not None:
        return read_provider(wanted.attestation, usual)
    return usual if current is None else current.provider


@contextlib.contextmanager
def _deciding(
    service: Service, principal: Principal, reason: str
) -> Iterator[tuple[Decider, Decision]]:
    from thim.services.deciding import (  # noqa: PLC0415 - loads SQLAlchemy
        Decision,
        deciding,
    )

    with writing(service) as ledger, deciding(ledger) as decider:
        # Only now: what others have decided meanwhile is in force by then.
        now = service.clock()
        yield decider, Decision(actor=str(principal), reason=reason, now=now)
