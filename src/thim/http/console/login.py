"""
In and out: the pages that need no session.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.errors import (
    ForbiddenError,
    NotFoundError,
    ThimError,
    UnauthenticatedError,
)
from thim.http.console.assets import find_assets
from thim.http.console.forms import check_origin, read_form
from thim.http.console.guard import (
    LOGIN,
    Console,
    find_common,
    find_next,
    refuse,
    see_other,
)
from thim.http.console.render import render
from thim.http.console.visit import Page, parse_form
from thim.http.finish import finish
from thim.http.problems import to_problem


if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from thim.http.reply import Reply
    from thim.http.service import Service

_LONGEST_TOKEN: Final = 8192
#: A token, and a request line with all of it escaped: anybody may send this.
_MOST: Final = _LONGEST_TOKEN + 3 * 8192


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """
    An ASGI application: asks for a token (GET), or begins a session with it.
    """

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        try:
            if scope["method"] == "POST":
                check_origin(scope)
                form = await read_form(scope, receive, _MOST)
                reply = await _log_in(scope, form)
            else:
                wanted = parse_form(scope["query_string"]).get("next", "")
                reply = _ask(scope, wanted, None)
        except ThimError as e:
            reply = refuse(scope, e, None, None)
        await _finish(scope, send, reply)


async def _log_in(scope: Scope, form: dict[str, str]) -> Reply:
    console: Console = scope["state"]["console"]
    wanted = form.get("next", "")
    try:
        cookie = await console.log_in(scope, _find_token(form))
    except (UnauthenticatedError, ForbiddenError) as e:
        return _ask(scope, wanted, e)
    return see_other(find_next(wanted), cookie)


def _find_token(form: dict[str, str]) -> str:
    token = form.get("token", "").strip()
    if not token.isascii() or not 0 < len(token) <= _LONGEST_TOKEN:
        msg = "no token: expected one that `thim token create` has shown"
        raise UnauthenticatedError(msg, reason="token-missing")
    return token


def _ask(scope: Scope, wanted: str, error: ThimError | None) -> Reply:
    page = Page(
        template="login.html",
        title="Log in",
        values={
            "next": wanted,
            "detail": None if error is None else str(error),
        },
        status=200 if error is None else to_problem(error).status,
    )
    return render(page, find_common(scope, None, None))


@dataclasses.dataclass(frozen=True, slots=True)
class Logout:
    """
    An ASGI application: ends a session, which is to have the browser forget
    its cookie.
    """

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        console: Console = scope["state"]["console"]
        try:
            check_origin(scope)
            await read_form(scope, receive, _MOST)
            cookie = console.log_out(scope)
            reply = see_other(LOGIN, *([cookie] if cookie else []))
        except ThimError as e:
            reply = refuse(scope, e, None, None)
        await _finish(scope, send, reply)


@dataclasses.dataclass(frozen=True, slots=True)
class Assets:
    """
    An ASGI application: the files that pages load.
    """

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Answer a request.
        """
        del receive
        asset = find_assets().get(scope["path_params"]["name"])
        if asset is None or asset.path != scope["path"]:
            error = NotFoundError("no such file", reason="unknown-path")
            reply = refuse(scope, error, None, None)
        else:
            reply = asset.reply()
        await finish(scope, send, reply)


async def _finish(scope: Scope, send: Send, reply: Reply) -> None:
    service: Service = scope["state"]["service"]
    await finish(scope, send, service.mark(reply))
