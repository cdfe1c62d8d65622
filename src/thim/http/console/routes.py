"""
The paths of the console.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.routing import Route

from thim.errors import NotFoundError
from thim.http.console.audit import AUDIT
from thim.http.console.baselines import BASELINES
from thim.http.console.chips import CHIPS
from thim.http.console.collateral import COLLATERAL
from thim.http.console.guard import LOGIN, ConsolePage, see_other
from thim.http.console.login import Assets, Login, Logout
from thim.http.console.numbers import NUMBERS
from thim.http.console.overview import OVERVIEW
from thim.http.console.plan_forms import PLAN_FORMS
from thim.http.console.plans import PLANS
from thim.http.console.platforms import PLATFORMS
from thim.http.console.playground import PLAYGROUND
from thim.http.console.quarantine import QUARANTINE
from thim.http.console.tenant_forms import TENANT_FORMS
from thim.http.console.tenants import TENANTS
from thim.http.console.what_if import WHAT_IF
from thim.http.finish import finish
from thim.http.listeners import Listener
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from thim.http.console.visit import Page, Visit

#: All pages: path below ``/console``, method, and what answers.
PAGES: Final = (
    *OVERVIEW,
    *COLLATERAL,
    *NUMBERS,
    *QUARANTINE,
    *PLATFORMS,
    *CHIPS,
    *PLAYGROUND,
    *AUDIT,
    *BASELINES,
    *PLAN_FORMS,
    *PLANS,
    *WHAT_IF,
    *TENANTS,
    *TENANT_FORMS,
)


def console_routes() -> list[Route]:
    """
    Return the routes below ``/console/``, and the one that leads there.
    """
    nowhere = ConsolePage(Permission.READ, _show_nothing, for_tenants=True)
    return [
        Route("/", _Root(), methods=["GET"]),
        Route("/console", _Entrance(), methods=["GET"]),
        Route(LOGIN, Login(), methods=["GET", "POST"]),
        Route("/console/logout", Logout(), methods=["POST"]),
        Route("/console/static/{digest}/{name}", Assets(), methods=["GET"]),
        *(
            Route(f"/console{path}", page, methods=[method])
            for path, method, page in PAGES
        ),
        Route("/console/{rest:path}", nowhere, methods=["GET"]),
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class _Entrance:
    """An ASGI application: sends whoever leaves out the last slash on."""

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        del receive
        await finish(scope, send, see_other("/console/"))


@dataclasses.dataclass(frozen=True, slots=True)
class _Root:
    """
    An ASGI application: sends people to the console who give their browser no
    more than a host's name, where the console is.  Programs are told what they
    are told of all paths that there are not.
    """

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        del receive
        listener = scope["state"].get("listener", Listener.ONLY)
        if listener is Listener.MAIN or not _wants_page(scope):
            raise HTTPException(404)
        await finish(scope, send, see_other("/console/"))


def _wants_page(scope: Scope) -> bool:
    accepted = (value for name, value in scope["headers"] if name == b"accept")
    return any(b"text/html" in value for value in accepted)


async def _show_nothing(visit: Visit) -> Page:
    msg = f"there is no page {visit.scope['path']!r}"
    raise NotFoundError(msg, reason="unknown-path")
