"""
The admin API's routes of tenants.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from thim.baseline.definition import (
    Kind,
)
from thim.errors import NotFoundError, ParameterError
from thim.http.administered import Administered
from thim.http.bodies import decode
from thim.http.prefixes import parse_instant, split_prefix
from thim.http.query import parse_query
from thim.http.served_paths import read_document_query
from thim.http.tenant_changes import (
    MOST_REASON,
    TenantWanted,
    delete_tenant,
    put_tenant,
)
from thim.services.baseline_views import describe_history
from thim.services.served import find_served
from thim.services.tenant_views import describe_tenant
from thim.services.tokens import Permission
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Scope

    from thim.http.service import Service
    from thim.services.tokens import Principal

_MOST_BODY: Final = 256 * 1024
_TENANTS: Final = "/admin/v1/tenants"
_MOST_DIGITS: Final = 9


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
    found = await put_tenant(service, principal, name, wanted, seen)
    return 201 if seen is None else 200, found


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
    if len(reason) > MOST_REASON:
        expected = f"expected {MOST_REASON} characters at most"
        raise ParameterError("reason", reason, expected)

    await delete_tenant(service, principal, name, reason)
    return 200, {"name": name, "deleted": True}
