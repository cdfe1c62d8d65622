"""
The admin API: JSON, for whoever has a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from thim.http.administered import Administered
from thim.http.baseline_admin import baseline_admin_routes
from thim.http.openapi_route import DocumentRoute
from thim.http.tenant_admin import tenant_admin_routes


if TYPE_CHECKING:
    from starlette.types import Scope

    from thim.services.tokens import Principal

ADMIN_DOCUMENT: Final = "/admin/v1/openapi.json"


def admin_routes() -> list[Route]:
    """
    Return the routes below ``/admin/v1``.
    """
    whoami = Administered(None, _whoami, 0)
    document = DocumentRoute("admin")
    return [
        Route("/admin/v1/whoami", whoami, methods=["GET"]),
        Route(ADMIN_DOCUMENT, document, methods=["GET"]),
        *tenant_admin_routes(),
        *baseline_admin_routes(),
    ]


async def _whoami(
    _scope: Scope, principal: Principal, _body: bytes
) -> tuple[int, object]:
    expires = principal.expires
    return 200, {
        "id": principal.id,
        "name": principal.name,
        "role": principal.role.value,
        "tenant": principal.tenant,
        "expires": None if expires is None else f"{expires:%FT%TZ}",
    }
