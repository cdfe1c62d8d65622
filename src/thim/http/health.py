"""
Health for orchestrators: started, alive, ready.

Ready means that the store is loaded and answers.  Expired documents and a
silent vendor are reasons in the body, never a failure: restarting a process
would not mend them, and its neighbours serve from the same store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from starlette.routing import Route

from thim.errors import UnavailableError
from thim.http.finish import ReplyResponse
from thim.http.reply import Reply
from thim.services.node_concerns import find_node_concerns
from thim.services.store_concerns import find_store_concerns


if TYPE_CHECKING:
    from starlette.requests import Request

    from thim.http.service import Service
    from thim.services.status import Concern


def health_routes() -> list[Route]:
    """
    Return ``/health/live``, ``/health/ready`` and ``/health/startup``.
    """
    return [
        Route("/health/live", _live, methods=["GET"]),
        Route("/health/startup", _live, methods=["GET"]),
        Route("/health/ready", _ready, methods=["GET"]),
    ]


async def _live(_request: Request) -> ReplyResponse:
    return _json(200, {"status": "ok"})


async def _ready(request: Request) -> ReplyResponse:
    service: Service = request.state.service
    try:
        reasons = _reasons(service)
        if service.settings.vendors.is_on:
            status = await service.status.read()
            reasons = [_spell(concern) for concern in status.concerns]
            if trouble := service.find_trouble():
                reasons.append(f"refresh-failed: {trouble}")
    except UnavailableError as e:
        return _json(503, {"status": "unavailable", "reasons": [str(e)]})
    settings = service.settings
    body = {
        "status": "ok",
        "reasons": reasons,
        "fill": settings.vendors.mode.value,
        "dangerous": settings.is_dangerous,
    }
    return _json(200, body)


def _reasons(service: Service) -> list[str]:
    if not service.replica.is_in_place():
        msg = "the store's file was moved or replaced: restart the service"
        raise UnavailableError(msg)
    with service.replica.snapshot():
        heads, expired = service.replica.count_heads(service.clock())
        concerns = [
            *find_store_concerns(service.settings.store, service.replica),
            *find_node_concerns(service.replica),
        ]
        reasons = [_spell(concern) for concern in concerns]
    if not heads:
        reasons.append(
            "the archive is empty: `thim collateral import` fills it"
        )
    if expired:
        reasons.append(f"{expired} of {heads} newest documents are expired")
    return reasons


def _spell(concern: Concern) -> str:
    return f"{concern.reason}: {concern.detail}"


def _json(status: int, value: object) -> ReplyResponse:
    return ReplyResponse(
        Reply(
            status=status,
            headers=(
                (b"content-type", b"application/json"),
                (b"cache-control", b"no-store"),
            ),
            body=msgspec.json.encode(value) + b"\n",
        )
    )
