"""
Tenants: where they stand, what is theirs, who decided that.
"""

from __future__ import annotations

import json

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.definition import Kind
from thim.baseline.model import ROOT
from thim.errors import ForbiddenError
from thim.http.console.charts import Bar, Part, draw_bars
from thim.http.console.guard import ConsolePage
from thim.http.console.tenant_rows import (
    CHOICES,
    read_wanted,
    sort_standing,
)
from thim.http.console.visit import Page, SeeOther, Visit
from thim.services.baseline_views import describe_history, describe_uptake
from thim.services.providers import find_issuer
from thim.services.tenant_states import find_state
from thim.services.tenant_views import (
    describe_certificates,
    describe_policies,
    describe_tenant,
)
from thim.services.tokens import Permission
from thim.store.outlook_view import OutlookView


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from markupsafe import Markup

    from thim.baseline.model import Tenant
    from thim.store.replica import Replica

_ROWS: Final = 50
_MOST_PAGE: Final = 10_000
_MOST_HISTORY: Final = 100
_NOTHING: Final[Mapping[str, str]] = {
    "name": "",
    "baseline": "default",
    "overrides": "never",
    "hosts": "",
    "labels": "",
    "requests": "",
    "per": "source",
    "reason": "",
}


async def _list(visit: Visit) -> Page | SeeOther:
    own = visit.principal.tenant
    if own is not None:
        return SeeOther(f"/console/tenants/{own}")
    return await list_tenants(visit)


async def list_tenants(
    visit: Visit,
    form: Mapping[str, str] | None = None,
    detail: str | None = None,
    status: int = 200,
) -> Page:
    """
    Show all tenants, and the *form* by which another one is made, where it was
    refused for what *detail* says.
    """
    page = visit.find_number("page", 0, _MOST_PAGE)
    wanted = read_wanted(visit)

    def read(replica: Replica, now: datetime) -> dict[str, Any]:
        book = replica.book()
        every = book.tenants(now)
        found = wanted.choose(replica, every, now)
        shown = found[page * _ROWS :][:_ROWS]
        return {
            "tenants": [_describe(replica, each, now) for each in shown],
            "found": len(found),
            "every": len(every),
            "has_more": len(found) > (page + 1) * _ROWS,
            "baselines": [each.name for each in book.baselines(now)][:200],
        }

    return Page(
        template="tenants.html",
        title="Tenants",
        values={
            "page": page,
            "wanted": wanted,
            "choices": CHOICES,
            **await visit.read(read),
            "form": {**_NOTHING, **(form or {})},
            "detail": detail,
        },
        status=status,
    )


def _describe(
    replica: Replica, tenant: Tenant, now: datetime
) -> dict[str, Any]:
    birth = replica.book().find_birth(tenant.name, now)
    return {
        **describe_tenant(replica, tenant, now),
        "is_signing": find_state(replica, tenant, now).is_signing,
        "outlook": _read_outlook(OutlookView(replica), tenant.name, birth),
    }


def _read_outlook(
    view: OutlookView, name: str, birth: datetime | None
) -> dict[str, Any] | None:
    # What is older is of who had the name before.
    body = view.body(name, birth)
    found: dict[str, Any] | None = None if body is None else json.loads(body)
    return found


async def _show(visit: Visit) -> Page:
    return await show_tenant(visit)


async def show_tenant(
    visit: Visit,
    form: Mapping[str, str] | None = None,
    detail: str | None = None,
    status: int = 200,
) -> Page:
    """
    Show the tenant that the path names, and the *form* by which it is changed,
    where it was refused for what *detail* says.

    Raises:
        ForbiddenError: It is another tenant than that of whoever asks.
        NotFoundError: There is none.
    """
    name, own = visit.names["name"], visit.principal.tenant
    if own not in {None, name}:
        msg = f"{visit.principal} is of the tenant {own}, and not of {name!r}"
        raise ForbiddenError(msg, reason="tenant")
    url = visit.service.settings.attestation_url

    def read(replica: Replica, now: datetime) -> dict[str, Any]:
        tenant = replica.book().find_tenant(name, now, now)
        # Who had the name before is no business of who has it now.
        birth = replica.book().find_birth(name, now)
        since = birth if own else None
        history = describe_history(replica, Kind.TENANT, name, since)
        outlook = _read_outlook(OutlookView(replica), name, birth)
        return {
            "tenant": describe_tenant(replica, tenant, now),
            "issuer": find_issuer(tenant, url),
            "state": find_state(replica, tenant, now),
            "policies": describe_policies(replica, tenant),
            "certificates": describe_certificates(replica, tenant),
            "history": history[::-1][:_MOST_HISTORY],
            "is_cut": len(history) > _MOST_HISTORY,
            "uptake": describe_uptake(
                replica, find_state(replica, tenant, now), now
            ),
            "outlook": outlook,
            "drawn": _draw_outlook(outlook),
            "form": _fill(tenant),
        }

    values = await visit.read(read)
    values["form"] = {**values["form"], **(form or {})}
    return Page(
        template="tenant.html",
        title=f"Tenant {name}",
        values={
            **values,
            "detail": detail,
            "is_root": name == ROOT.name,
            "is_outsider": own is None,
        },
        status=status,
    )


def _fill(tenant: Tenant) -> dict[str, str]:
    """Fill the form with what *tenant* is now."""
    quota = tenant.quota
    return {
        **_NOTHING,
        "version": str(tenant.version),
        "overrides": tenant.overrides.value,
        "hosts": "\n".join(tenant.hosts),
        "labels": "\n".join(f"{k}={v}" for k, v in tenant.labels.items()),
        "requests": str(quota.requests) if quota else "",
        "per": quota.per.value if quota else "source",
    }


def _draw_outlook(outlook: Mapping[str, Any] | None) -> Markup | None:
    if outlook is None or not outlook["standings"]:
        return None
    bars = [
        Bar(
            f"{each['tee']} {each['standing']}",
            [
                Part(
                    "platforms",
                    sort_standing(each["standing"]),
                    each["platforms"],
                )
            ],
            note=f"{each['platforms']}",
        )
        for each in outlook["standings"]
    ]
    return draw_bars("Platforms by how they stand", bars)


_READ: Final = Permission.READ
TENANTS: Final = (
    ("/tenants", "GET", ConsolePage(_READ, _list, for_tenants=True)),
    ("/tenants/{name}", "GET", ConsolePage(_READ, _show, for_tenants=True)),
)
