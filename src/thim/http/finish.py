"""
The last step of every answer: conditions, memory, request ID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from thim.http.measured import find_asked
from thim.http.reply import Reply, send_reply
from thim.services.metadata import choose_request_id


if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_READ: Final = frozenset({"GET", "HEAD"})
_NOT_IN_304: Final = frozenset({b"content-type", b"content-length"})


async def finish(scope: Scope, send: Send, reply: Reply) -> None:
    """
    Send *reply*: remembered if it may be, as a 304 if the client has it
    already, under the client's own ``Request-ID`` if it sent a usable one.
    """
    _remember(scope, reply)
    _note(scope, reply)
    headers = dict(scope["headers"])
    is_read = scope["method"] in _READ
    if is_read and _is_unchanged(reply, headers.get(b"if-none-match")):
        reply = _not_modified(reply)
    asked = find_asked(scope)
    request_id = (
        asked.request_id
        if asked is not None
        else choose_request_id(headers.get(b"request-id", b""))
    )
    # Asked for only where it is needed: an error is answered without a clock.
    now = scope["state"]["now"]() if reply.aged_since is not None else 0.0
    await send_reply(scope, send, reply, request_id=request_id, now=now)


def _remember(scope: Scope, reply: Reply) -> None:
    raw = scope.get("extensions", {}).get("thim.memo")
    memo = scope["state"].get("memo")
    if raw is not None and memo is not None and reply.until is not None:
        asked = find_asked(scope)
        labels = (asked.family, asked.tenant) if asked is not None else ()
        memo.remember(raw, reply, *labels)


def _note(scope: Scope, reply: Reply) -> None:
    # An answer to HEAD is not fetched.
    if reply.note is not None and scope["method"] == "GET":
        reply.note.note(scope["client"], scope["state"]["now"]())


def _is_unchanged(reply: Reply, condition: bytes | None) -> bool:
    if condition is None or reply.status != 200:  # noqa: PLR2004
        return False
    etag = dict(reply.headers).get(b"etag")
    known = {tag.strip().removeprefix(b"W/") for tag in condition.split(b",")}
    return etag is not None and bool({etag, b"*"} & known)


def _not_modified(reply: Reply) -> Reply:
    return Reply(
        status=304,
        headers=tuple(h for h in reply.headers if h[0] not in _NOT_IN_304),
        body=b"",
        aged_since=reply.aged_since,
    )


class ReplyResponse(Response):
    """
    A reply in the place of Starlette's own response.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(status_code=reply.status)
        self._reply = reply

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """
        Send it.
        """
        del receive
        await finish(scope, send, self._reply)
