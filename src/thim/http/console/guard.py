"""
Who sees a page: sessions, permissions, and forms that are nobody else's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import http
import re
import urllib.parse

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from thim.errors import (
    ForbiddenError,
    NotFoundError,
    OperatorError,
    ThimError,
    UnauthenticatedError,
    UnavailableError,
)
from thim.http.bodies import TooLargeError
from thim.http.console.cookies import BASE, Header
from thim.http.console.damage import find_damage
from thim.http.console.forms import (
    MOST_FORM,
    check_csrf,
    check_origin,
    read_form,
)
from thim.http.console.render import HEADERS, render
from thim.http.console.session import Cookies, Session, begin_session
from thim.http.console.visit import (
    Download,
    Page,
    SeeOther,
    Shown,
    Visit,
)
from thim.http.finish import finish
from thim.http.problems import tell, to_problem
from thim.http.reply import Reply
from thim.services.tokens import Permission


if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from thim.http.auth import Gate
    from thim.http.service import Service
    from thim.services.tokens import Principal

View: TypeAlias = Callable[[Visit], Awaitable[Shown]]

LOGIN: Final = "/console/login"
#: What the head of a page leads to.
PAGES: Final = (
    ("/", "Overview"),
    ("/collateral", "Collateral"),
    ("/numbers", "Numbers"),
    ("/baselines", "Baselines"),
    ("/plans", "Plans"),
    ("/what-if", "What if"),
    ("/tenants", "Tenants"),
    ("/platforms", "Platforms"),
    ("/chips", "Chips"),
    ("/playground", "Playground"),
    ("/decisions", "Decisions"),
    ("/quarantine", "Quarantine"),
    ("/audit", "Audit"),
)
#: Which of them tokens of a tenant see.
_OF_TENANTS: Final = frozenset(
    {"/what-if", "/tenants", "/playground", "/decisions", "/audit"}
)
#: A page of ours and nothing else: no other host, no control characters.
_OWN: Final = re.compile(r"/console/[A-Za-z0-9/_.:?&=%+-]*")
_BODILESS: Final = frozenset({"GET", "HEAD"})
#: What a refusal's headers say to programs.
_KEPT: Final = frozenset({b"retry-after", b"thim-reason"})
#: So many pages are made at once: more of them take threads and the event loop
#: from those who are served collateral, and nobody gets a page any sooner.
_TURNS: Final = 4


class Console:
    """
    What the pages of one process share.
    """

    def __init__(self, service: Service, gate: Gate) -> None:
        self._service = service
        self._gate = gate
        self._cookies = Cookies(service)
        #: Held by whoever makes a page; by nobody who waits for somebody else.
        self.turns = asyncio.Semaphore(_TURNS)

    async def log_in(self, scope: Scope, token: str) -> Header:
        """
        Return the cookie of a new session of whoever has the *token*.

        Raises:
            ThimError: As ``Gate.identify``; the token's role sees no page; or
                there is no key to seal with.
        """
        principal = self._gate.identify(_with_token(scope, token))
        if not principal.may(Permission.READ):
            msg = (
                f"{principal} has the role {principal.role.value}, expected "
                f"reader, operator or admin"
            )
            raise ForbiddenError(msg, reason="role")
        session = begin_session(principal, self._service.clock())
        return await self._cookies.keep(scope, session)

    def log_out(self, scope: Scope) -> Header | None:
        """
        Return the cookie that ends a session; None where there was never any.
        """
        return self._cookies.forget(scope)

    def find(self, scope: Scope) -> tuple[Session, Principal] | None:
        """
        Return who is logged in, if anybody is.

        Raises:
            ForbiddenError: The request came in the clear.
            OperatorError: The key is not there that sessions are sealed with.
            UnavailableError: The store cannot be read.
        """
        session = self._cookies.find(scope, self._service.clock())
        if session is None:
            return None
        principal = self._gate.recall(scope, session.principal)
        return None if principal is None else (session, principal)


def _with_token(scope: Scope, token: str) -> Scope:
    # As if a program had shown it: the same checks, the same counting.
    bearer = (b"authorization", b"Bearer " + token.encode("utf-8"))
    return {**scope, "headers": [bearer]}


@dataclasses.dataclass(frozen=True, slots=True)
class ConsolePage:
    """
    An ASGI application: what *view* shows whoever has *permission*.  Tokens
    of a tenant see it if it is *for_tenants* too.
    """

    permission: Permission
    view: View
    for_tenants: bool = False

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        service: Service = scope["state"]["service"]
        console: Console = scope["state"]["console"]
        found = None
        try:
            found = _find(console, scope)
            if found is None:
                reply = _ask_to_log_in(scope)
            else:
                visit = await self._receive(scope, receive, *found)
                reply = await self.show(visit)
        except ThimError as e:
            reply = refuse(scope, e, *(found or (None, None)))
        await finish(scope, send, service.mark(reply))

    async def show(self, visit: Visit) -> Reply:
        """
        Answer a *visit*, when it is its turn.
        """
        console: Console = visit.scope["state"]["console"]
        if visit.scope["method"] not in _BODILESS:
            return await self._answer(visit)  # it may wait for vendors
        async with console.turns:
            return await self._answer(visit)

    async def _answer(self, visit: Visit) -> Reply:
        shown = await self.view(visit)
        return to_reply(visit.scope, shown, visit.session, visit.principal)

    async def _receive(
        self,
        scope: Scope,
        receive: Receive,
        session: Session,
        principal: Principal,
    ) -> Visit:
        form = {}
        if scope["method"] not in _BODILESS:
            check_origin(scope)
            form = await read_form(scope, receive, MOST_FORM)
            check_csrf(session, form)
        self._let_in(principal)
        return Visit(
            scope=scope, session=session, principal=principal, form=form
        )

    def _let_in(self, principal: Principal) -> None:
        if not principal.may(self.permission):
            msg = (
                f"{principal} has the role {principal.role.value}: it may "
                f"look, and change nothing"
            )
            raise ForbiddenError(msg, reason="role")
        if principal.tenant is not None and not self.for_tenants:
            msg = (
                f"{principal} is of the tenant {principal.tenant}, and this "
                f"page is about everybody's"
            )
            raise ForbiddenError(msg, reason="tenant")


def _find(console: Console, scope: Scope) -> tuple[Session, Principal] | None:
    if scope["path"].endswith("\n"):  # which Starlette's routes overlook
        msg = "no such page"
        raise NotFoundError(msg, reason="unknown-path")
    return console.find(scope)


def _ask_to_log_in(scope: Scope) -> Reply:
    if scope["method"] not in _BODILESS:
        msg = "nobody is logged in (any more), and nothing was changed"
        raise UnauthenticatedError(msg, reason="session")
    path = scope["path"]
    query = scope["query_string"].decode("latin-1")
    here = f"{path}?{query}" if query else path
    asked = urllib.parse.urlencode({"next": here})
    there = LOGIN if here == BASE else f"{LOGIN}?{asked}"
    if (b"hx-request", b"true") in scope["headers"]:
        # A part of a page is not to become the login: the whole page is.
        go = (b"hx-redirect", there.encode("ascii"))
        return Reply(status=200, headers=(*HEADERS, go), body=b"")
    return see_other(there)


def find_next(text: str) -> str:
    """
    Return the page to show after the login: that of the *text* if it is one of
    the console's, else the first.
    """
    path = urllib.parse.unquote(text.partition("?")[0])
    leads_out = ".." in path.split("/") or path.startswith(LOGIN)
    return text if _OWN.fullmatch(text) and not leads_out else BASE


def see_other(path: str, *headers: Header) -> Reply:
    """
    Answer that what there is to see is at *path*.
    """
    location = (b"location", path.encode("ascii"))
    return Reply(status=303, headers=(*HEADERS, location, *headers), body=b"")


def to_reply(
    scope: Scope,
    shown: Shown,
    session: Session | None,
    principal: Principal | None,
) -> Reply:
    """
    Answer what a view has shown.
    """
    if isinstance(shown, SeeOther):
        return see_other(shown.path)
    if isinstance(shown, Download):
        return _send(shown)
    return render(shown, find_common(scope, session, principal))


def _send(shown: Download) -> Reply:
    name = shown.name.encode("ascii")
    headers = (
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", b'attachment; filename="%s"' % name),
        *HEADERS,
    )
    return Reply(status=200, headers=headers, body=shown.body)


def find_common(
    scope: Scope, session: Session | None, principal: Principal | None
) -> dict[str, Any]:
    """
    Return what every page shows.
    """
    service: Service = scope["state"]["service"]
    return {
        "path": scope["path"],
        "pages": _list_pages(principal),
        "session": session,
        "principal": principal,
        "may_change": principal is not None
        and principal.may(Permission.ADMINISTER),
        "is_dangerous": service.settings.is_dangerous,
        "lag": service.upkeep.lag.decode("ascii") if service.upkeep.lag else "",
        "now": service.clock(),
    }


def _list_pages(principal: Principal | None) -> list[tuple[str, str]]:
    is_outsider = principal is None or principal.tenant is None
    return [page for page in PAGES if is_outsider or page[0] in _OF_TENANTS]


def _find_back(scope: Scope) -> str | None:
    """Return the page of the form whose sending was refused."""
    if scope["method"] != "POST":
        return None
    path: str = scope["path"]
    page = path.rpartition("/")[0]
    return page if page.startswith("/console/") else path


def refuse(
    scope: Scope,
    error: ThimError,
    session: Session | None,
    principal: Principal | None,
) -> Reply:
    """
    Answer *error* as a page, with the status that our API gives it.
    """
    if isinstance(error, OperatorError):  # a full disk, a lock
        error = UnavailableError(str(error), reason=error.reason)
    is_large = isinstance(error, TooLargeError)
    plain = to_problem(error, 413 if is_large else None)
    damage = find_damage(scope["state"]["service"], error)
    reason, detail = tell(error)
    page = Page(
        template="error.html",
        title=http.HTTPStatus(plain.status).phrase,
        values={
            "reason": reason,
            "detail": detail if damage is None else damage.detail,
            "advice": None if damage is None else damage.advice,
            "back": _find_back(scope),
        },
        status=plain.status,
    )
    kept = (header for header in plain.headers if header[0] in _KEPT)
    return render(page, find_common(scope, session, principal), *kept)
