"""
Forms: that they were sent from a page of ours, by whoever has the session.
"""

from __future__ import annotations

import asyncio
import hmac

from typing import TYPE_CHECKING, Final

from thim.errors import ForbiddenError
from thim.http.bodies import read_body
from thim.http.console.visit import parse_form


if TYPE_CHECKING:
    from starlette.types import Receive, Scope

    from thim.http.console.session import Session

#: Evidence that is pasted into a form is the largest of what is sent.
MOST_FORM: Final = 512 * 1024
_FORM: Final = "application/x-www-form-urlencoded"


def check_origin(scope: Scope) -> None:
    """
    Check that a form was sent from a page of this very site.

    Raises:
        ForbiddenError: A browser says that it comes from elsewhere.
    """
    headers = dict(scope["headers"])
    site = headers.get(b"sec-fetch-site", b"same-origin")
    origin = headers.get(b"origin")
    host = headers.get(b"host", b"")
    is_own = origin is None or origin.partition(b"://")[2] == host
    if site not in {b"same-origin", b"none"} or not is_own:
        msg = "the form was sent from another site, and nothing was changed"
        raise ForbiddenError(msg, reason="cross-site")


def check_csrf(session: Session, form: dict[str, str]) -> None:
    """
    Check that a *form* is of this very *session*, and take what says so out.

    Raises:
        ForbiddenError: It is of another.
    """
    sent = form.pop("csrf", "").encode("utf-8")
    if not hmac.compare_digest(sent, session.csrf.encode("utf-8")):
        msg = "the form is of another session: load the page anew"
        raise ForbiddenError(msg, reason="csrf")


async def read_form(
    scope: Scope, receive: Receive, most: int
) -> dict[str, str]:
    """
    Return the form that was sent, of *most* bytes.

    Raises:
        MalformedError: It is none, or too large.
    """
    raw = await read_body(scope, receive, most, (_FORM,))
    # Of escapes alone, a large one takes a while.
    return await asyncio.to_thread(parse_form, raw)
