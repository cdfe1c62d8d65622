"""
The admin API's routes of tenants.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from msgspec import Meta
from starlette.routing import Route

from thim.baseline.definition import (
    MOST_HOSTS,
    MOST_LABELS,
    Kind,
    LabelKey,
    LabelValue,
    find_usual,
    read_tenant,
    write_tenant,
)
from thim.baseline.model import Overrides, Per, Quota, Tenant
from thim.baseline.provider_definition import ProviderJson, read_provider
from thim.errors import NotFoundError, ParameterError
from thim.http.administered import Administered
from thim.http.bodies import decode
from thim.http.pccs_calls import writing
from thim.http.prefixes import parse_instant, split_prefix
from thim.http.query import parse_query
from thim.http.served_paths import read_document_query
from thim.services.baseline_views import describe_history
from thim.services.provider_checks import read_policy_certificate
from thim.services.served import find_served
from thim.services.tenant_views import describe_tenant
from thim.services.tokens import Permission
from thim.store.attestation_view import MOST_CERTIFICATES
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Scope

    from thim.baseline.provider import Provider
    from thim.http.service import Service
    from thim.services.deciding import Decider, Decision
    from thim.services.tokens import Principal

_MOST_BODY: Final = 256 * 1024
_TENANTS: Final = "/admin/v1/tenants"
_MOST_DIGITS: Final = 9
_MOST_REASON: Final = 500


class QuotaWanted(msgspec.Struct, forbid_unknown_fields=True):
    """How often a tenant's callers may ask in a minute."""

    requests: Annotated[int, Meta(ge=1, le=1_000_000)]
    per: Per = Per.SOURCE


class TenantWanted(msgspec.Struct, forbid_unknown_fields=True):
    """
    A tenant as it shall be; where `attestation` is left out the present one
    stays, and `baseline` of a tenant that is there changes by a plan only.
    """

    reason: Annotated[str, Meta(min_length=1, max_length=_MOST_REASON)]
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


def tenant_admin_routes() -> list[Route]:
    """
    Return the routes below ``/admin/v1/tenants``.
    """
    read, administer = Permission.READ, Permission.ADMINISTER
    routes = (
        ("", "GET", read, _list, None),
        ("/{name}", "GET", read, _show, "name"),
        ("/{name}/history", "GET", read, _show_history, "name"),
        ("/{name}/served", "GET", read, _find_served, "name"),
        ("/{name}", "PUT", administer, _put, None),
        ("/{name}", "DELETE", administer, _delete, None),
    )
    return [
        Route(
            f"{_TENANTS}{path}",
            Administered(permission, answer, _MOST_BODY, tenant),
            methods=[method],
        )
        for path, method, permission, answer, tenant in routes
    ]


@contextlib.contextmanager
def reading(service: Service) -> Iterator[Replica]:
    """
    Read the store apart from the event loop.
    """
    with contextlib.closing(Replica(service.settings.store)) as replica:
        yield replica


async def _list(
    scope: Scope, _principal: Principal, _body: bytes
) -> tuple[int, object]:
    service: Service = scope["state"]["service"]

    def read() -> list[dict[str, Any]]:
        now = service.clock()
        with reading(service) as replica:
            return [
                describe_tenant(replica, tenant, now)
                for tenant in replica.book().tenants(now)
            ]

    return 200, await asyncio.to_thread(read)


async def _show(
    scope: Scope, _principal: Principal, _body: bytes
) -> tuple[int, object]:
    service: Service = scope["state"]["service"]
    name = scope["path_params"]["name"]

    def read() -> dict[str, Any]:
        now = service.clock()
        with reading(service) as replica:
            tenant = replica.book().find_tenant(name, now, now)
            return describe_tenant(replica, tenant, now)

    return 200, await asyncio.to_thread(read)


async def _show_history(
    scope: Scope, principal: Principal, _body: bytes
) -> tuple[int, object]:
    service: Service = scope["state"]["service"]
    name = scope["path_params"]["name"]

    def read() -> list[dict[str, Any]]:
        with reading(service) as replica:
            book, now = replica.book(), service.clock()
            if not book.enactments(Kind.TENANT, name):
                book.find_tenant(name, now, now)
            since = None
            if principal.tenant is not None:
                # Who had the name before is no business of who has it now.
                since = book.find_birth(name, now)
            return describe_history(replica, Kind.TENANT, name, since)

    return 200, await asyncio.to_thread(read)


async def _find_served(
    scope: Scope, principal: Principal, _body: bytes
) -> tuple[int, object]:
    """
    Answer ``?at=INSTANT&path=PATH``: what a tenant got for a path then.
    """
    service: Service = scope["state"]["service"]
    parameters = parse_query(scope["query_string"])
    then = parse_instant(parameters.get("at", ""))
    path, name = parameters.get("path", ""), scope["path_params"]["name"]
    prefix = split_prefix(path.partition("?")[0])
    if prefix.tenant not in {None, name}:
        expected = f"expected a path of the tenant {name}"
        raise ParameterError("path", path, expected)
    prefix = dataclasses.replace(prefix, tenant=name)
    query = read_document_query(prefix, path.partition("?")[2])

    def read() -> dict[str, Any]:
        with reading(service) as replica:
            now = service.clock()
            birth = replica.book().find_birth(name, now)
            if principal.tenant is not None and birth and then < birth:
                msg = f"tenant {name} is there since {birth:%FT%TZ}"
                raise NotFoundError(msg, reason="before-archive")
            return find_served(replica, query, then, now)

    return 200, await asyncio.to_thread(read)


async def _put(
    scope: Scope, principal: Principal, body: bytes
) -> tuple[int, object]:
    """
    Create a tenant, or put this in the place of the version that the request
    names in ``If-Match``.
    """
    service: Service = scope["state"]["service"]
    wanted = decode(body, TenantWanted)
    name, seen = scope["path_params"]["name"], _read_if_match(scope)
    certificates = [
        read_policy_certificate(pem, "policy_certificates")
        for pem in wanted.policy_certificates
    ]

    def keep() -> dict[str, Any]:
        with _deciding(service, principal, wanted.reason) as (decider, made):
            if seen is None:
                created = _make(name, wanted, None)
                decider.create_tenant(created, made, certificates)
            else:
                now = made.now
                current = decider.book.find_tenant(name, now, now)
                changed = _make(name, wanted, current)
                decider.change_tenant(
                    changed, made, seen=seen, certificates=certificates
                )
        with reading(service) as replica:
            now = service.clock()
            tenant = replica.book().find_tenant(name, now, now)
            return describe_tenant(replica, tenant, now)

    found = await asyncio.to_thread(keep)
    service.upkeep.catch_up()
    return 201 if seen is None else 200, found


def _make(name: str, wanted: TenantWanted, current: Tenant | None) -> Tenant:
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


def _read_if_match(scope: Scope) -> int | None:
    text = dict(scope["headers"]).get(b"if-match", b"").decode("latin-1")
    if not text:
        return None
    digits = text.strip().strip('"')
    is_number = digits.isdecimal() and digits.isascii()
    if not is_number or len(digits) > _MOST_DIGITS:
        expected = "expected the version that you have seen"
        raise ParameterError("If-Match", text, expected)
    return int(digits)


async def _delete(
    scope: Scope, principal: Principal, _body: bytes
) -> tuple[int, object]:
    service: Service = scope["state"]["service"]
    name = scope["path_params"]["name"]
    reason = parse_query(scope["query_string"]).get("reason") or "deleted"
    if len(reason) > _MOST_REASON:
        expected = f"expected {_MOST_REASON} characters at most"
        raise ParameterError("reason", reason, expected)

    def keep() -> None:
        with _deciding(service, principal, reason) as (decider, decision):
            decider.delete_tenant(name, decision)

    await asyncio.to_thread(keep)
    service.upkeep.catch_up()
    return 200, {"name": name, "deleted": True}


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
