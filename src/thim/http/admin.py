"""
The admin API: JSON, for whoever has a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from starlette.routing import Route

from thim.errors import ThimError
from thim.http.baseline_admin import baseline_admin_routes
from thim.http.finish import ReplyResponse
from thim.http.problems import to_problem
from thim.http.reply import Reply
from thim.http.tenant_admin import tenant_admin_routes


if TYPE_CHECKING:
    from starlette.requests import Request

    from thim.http.auth import Gate


def admin_routes() -> list[Route]:
    """
    Return the routes below ``/admin/v1``.
    """
    return [
        Route("/admin/v1/whoami", _whoami, methods=["GET"]),
        *tenant_admin_routes(),
        *baseline_admin_routes(),
    ]


async def _whoami(request: Request) -> ReplyResponse:
    gate: Gate = request.state.gate
    try:
        principal = gate.identify(request.scope)
    except ThimError as e:
        return ReplyResponse(to_problem(e))
    expires = principal.expires
    body = {
        "id": principal.id,
        "name": principal.name,
        "role": principal.role.value,
        "tenant": principal.tenant,
        "expires": None if expires is None else f"{expires:%FT%TZ}",
    }
    headers = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
    )
    content = msgspec.json.encode(body) + b"\n"
    return ReplyResponse(Reply(status=200, headers=headers, body=content))
