"""
An answer before it is sent.

Everything in a `Reply` holds until `Reply.until`, so it can be sent more than
once.  What belongs to one sending only (``Date``, ``Age``, ``Request-ID``) is
written when it is sent.
"""

from __future__ import annotations

import dataclasses
import itertools
import os

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from starlette.types import Scope, Send

    from thim.services.client_notes import Page


# RFC 9110, 15.3.5 and 15.4.5: these have no content.
_BODILESS: Final = frozenset({204, 304})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    An answer that can be sent again as it is.

    Args:
        status: The status code.
        headers: Names in lower case, and their values; ``date``, ``age``,
            ``request-id`` and ``content-length`` are left out.
        body: The content.
        aged_since: Unix instant from which an ``age`` header counts; None for
            no such header.
        until: Unix instant up to which the very same answer holds, its
            headers included; None if it must not be given again.
        note: Where is noted who gets it, None for nowhere.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    aged_since: float | None = None
    until: float | None = None
    note: Page | None = None


class RequestIds:
    """
    Lines with a ``Request-ID``, each the end of a head: the first half tells
    processes apart.
    """

    def __init__(self) -> None:
        start = b"request-id: " + os.urandom(8).hex().encode("ascii")
        self._line = start + b"%016x\r\n\r\n"
        self._next = itertools.count(1).__next__

    def write(self) -> bytes:
        """
        Write the next one, and the empty line behind the head.
        """
        return self._line % self._next()


def find_request_id(answer: bytes) -> str:
    """
    Return the ``Request-ID`` of a whole *answer*, which ends its head.
    """
    head = answer[: answer.index(b"\r\n\r\n")]
    return head[head.rindex(b" ") + 1 :].decode("ascii")


def lasting_headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    """
    Return the headers that every sending of *reply* carries, in order.

    A 204 or 304 has no ``content-length``: the length of nothing would be
    taken for the length of the document that it stands for.
    """
    headers = list(reply.headers)
    if reply.status not in _BODILESS:
        headers.append((b"content-length", b"%d" % len(reply.body)))
    return headers


def count_age(aged_since: float, now: float) -> int:
    """
    Return the value of an ``age`` header, which is never negative.
    """
    return max(0, int(now - aged_since))


async def send_reply(
    scope: Scope, send: Send, reply: Reply, request_id: bytes, now: float
) -> None:
    """
    Send *reply* to the client that asked with *scope*.

    An answer to HEAD has the headers of the answer to GET, the length
    included, and no body (RFC 9110, 9.3.2).
    """
    headers = lasting_headers(reply)
    if reply.aged_since is not None:
        headers.append((b"age", b"%d" % count_age(reply.aged_since, now)))
    headers.append((b"request-id", request_id))
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": headers,
        }
    )
    has_body = scope["method"] != "HEAD" and reply.status not in _BODILESS
    body = reply.body if has_body else b""
    await send({"type": "http.response.body", "body": body})
