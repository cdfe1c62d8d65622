"""
Forms by which tenants are made, changed and deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.errors import (
    ConflictError,
    MalformedError,
    NotFoundError,
    ParameterError,
)
from thim.http.console.guard import ConsolePage
from thim.http.console.orders import (
    find_status,
    read_lines,
    read_names,
    read_reason,
    read_whole,
)
from thim.http.console.tenants import list_tenants, show_tenant
from thim.http.console.visit import Page, SeeOther, Visit
from thim.http.tenant_changes import TenantWanted, delete_tenant, put_tenant
from thim.intel.strict_json import convert
from thim.services.platform_admin import parse_labels
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_QUOTA: Final = 1_000_000
_MOST_VERSION: Final = 10**9 - 1


async def _create(visit: Visit) -> Page | SeeOther:
    name = visit.form.get("name", "").strip()
    try:
        wanted = _read(visit, visit.form.get("baseline", "").strip() or None)
        await put_tenant(visit.service, visit.principal, name, wanted, None)
    except (MalformedError, NotFoundError) as e:
        status = find_status(e)
        return await list_tenants(visit, visit.form, str(e), status)
    return SeeOther(f"/console/tenants/{name}")


async def _change(visit: Visit) -> Page | SeeOther:
    name = visit.names["name"]
    try:
        wanted, seen = _read(visit, None), _read_version(visit.form)
        await put_tenant(visit.service, visit.principal, name, wanted, seen)
    except MalformedError as e:
        status = find_status(e)
        return await show_tenant(visit, visit.form, str(e), status)
    except ConflictError as e:
        # What somebody else has made of it is to be seen, and not undone.
        return await show_tenant(visit, None, str(e), find_status(e))
    return SeeOther(f"/console/tenants/{name}")


def _read_version(form: Mapping[str, str]) -> int:
    version = read_whole(form, "version", _MOST_VERSION)
    if version is None:
        raise ParameterError("version", "", "expected the one that was seen")
    return version


def _read(visit: Visit, baseline: str | None) -> TenantWanted:
    """
    Read the tenant that is wanted; its attestation side stays as it is.

    Raises:
        ParameterError: A field cannot be used.
        MalformedError: What is in the fields does not go together.
    """
    form = visit.form
    value: dict[str, Any] = {
        "reason": read_reason(visit),
        "baseline": baseline,
        "overrides": form.get("overrides", ""),
        "hosts": read_names(form.get("hosts", "")),
        "labels": _read_labels(form.get("labels", "")),
        "quota": _read_quota(form),
    }
    return convert(value, TenantWanted, "tenant")


def _read_labels(text: str) -> dict[str, str]:
    found = {}
    for key, value in parse_labels(read_lines(text)).items():
        if value is None:
            expected = "expected a value, since platforms are told by it"
            raise ParameterError("labels", f"{key}=", expected)
        found[key] = value
    return found


def _read_quota(form: Mapping[str, str]) -> dict[str, Any] | None:
    requests = read_whole(form, "requests", _MOST_QUOTA)
    if not requests:
        return None
    return {"requests": requests, "per": form.get("per", "")}


async def _delete(visit: Visit) -> Page | SeeOther:
    name, typed = visit.names["name"], visit.form.get("typed", "").strip()
    try:
        if typed != name:
            expected = f"expected {name}, to be sure that this one is meant"
            raise ParameterError("name", typed, expected)
        reason = read_reason(visit)
        await delete_tenant(visit.service, visit.principal, name, reason)
    except MalformedError as e:
        return await show_tenant(visit, None, str(e), find_status(e))
    return SeeOther("/console/tenants")


_DECIDE: Final = Permission.ADMINISTER
TENANT_FORMS: Final = (
    ("/tenants", "POST", ConsolePage(_DECIDE, _create)),
    ("/tenants/{name}", "POST", ConsolePage(_DECIDE, _change)),
    ("/tenants/{name}/delete", "POST", ConsolePage(_DECIDE, _delete)),
)
