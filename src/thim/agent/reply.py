"""
Answers of the agent, with the headers that the service's have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from thim.errors import (
    ForbiddenError,
    MalformedError,
    NotFoundError,
    ThimError,
    UnavailableError,
)
from thim.services.metadata import choose_request_id


if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
#: What the client did wrong has a sentence; the others have none.
_TABLE: Final = (
    (MalformedError, 400),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (UnavailableError, 503),
)
_INTERNAL: Final = 500


def reply(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Response:
    """
    Answer with *body*; nobody keeps it unless *headers* say so.
    """
    return Response(
        body, status, {"cache-control": "no-store", **(headers or {})}
    )


def refuse(error: ThimError) -> Response:
    """
    Answer *error*.
    """
    status = next(
        (number for kind, number in _TABLE if isinstance(error, kind)),
        _INTERNAL,
    )
    headers = {"thim-reason": error.reason}
    if isinstance(error, UnavailableError):
        headers["retry-after"] = str(error.retry_after)
    if not isinstance(error, MalformedError):
        return reply(status, headers=headers)
    headers["content-type"] = TEXT
    text = f"Invalid request parameters. {error}\n"
    return reply(status, text.encode("ascii", "replace"), headers)


async def send_reply(
    response: Response, scope: Scope, receive: Receive, send: Send
) -> None:
    """
    Send *response* under the client's own ``Request-ID``, if it sent one.
    """
    sent = dict(scope["headers"]).get(b"request-id", b"")
    response.headers["request-id"] = choose_request_id(sent).decode("ascii")
    await response(scope, receive, send)
