"""
The application: Starlette, its routes, and what lives as long as it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route, Router

from thim.errors import ThimError
from thim.http.endpoints import Prefixed, collateral_routes
from thim.http.finish import ReplyResponse
from thim.http.health import health_routes
from thim.http.problems import to_reply
from thim.http.reply import Reply
from thim.http.service import Service, utc_now


if TYPE_CHECKING:
    import datetime

    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from thim.http.settings import HttpSettings


def create_app(
    settings: HttpSettings,
    clock: Callable[[], datetime.datetime] = utc_now,
) -> Starlette:
    """
    Make the application; it opens the store when it is started.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        service = Service(settings, clock)
        following = asyncio.create_task(service.follow())
        try:
            yield {
                "service": service,
                "memo": service.memo,
                "limits": settings.limits,
            }
        finally:
            following.cancel()
            service.close()

    collateral = collateral_routes()
    prefixed = Prefixed(Router(collateral, redirect_slashes=False))
    app = Starlette(
        routes=[
            *health_routes(),
            *collateral,
            *(
                Route(f"/{name}/{{rest:path}}", prefixed)
                for name in ("tenant", "baseline", "at")
            ),
        ],
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _http_exception,
            Exception: _internal_error,
        },
    )
    app.router.redirect_slashes = False  # Azure's client follows none
    return app


@dataclasses.dataclass(frozen=True, slots=True)
class AppFactory:
    """
    Makes the application in each worker; can be sent to one.
    """

    settings: HttpSettings

    def __call__(self) -> Starlette:
        """
        Make the application.
        """
        return create_app(self.settings)


_SENTENCES = {404: "No such path.", 405: "Only GET and HEAD."}


async def _http_exception(_request: Request, e: Exception) -> ReplyResponse:
    error = cast("HTTPException", e)  # it is registered for no other
    text = _SENTENCES.get(error.status_code, error.detail)
    headers = [
        (name.lower().encode(), ", ".join(sorted(value.split(", "))).encode())
        for name, value in (error.headers or {}).items()
    ]
    return ReplyResponse(
        Reply(
            status=error.status_code,
            headers=(
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"cache-control", b"no-store"),
                *headers,
            ),
            body=f"{text}\n".encode(),
        )
    )


async def _internal_error(_request: Request, _e: Exception) -> ReplyResponse:
    return ReplyResponse(to_reply(ThimError("internal")))
