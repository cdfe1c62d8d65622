"""
The limits of a connection: how large a request may be, how long it may take.

The memory that a client can make us hold is bounded by `Limits`, whatever it
sends.  What is over a limit is answered with a status of its own and a
sentence that names the limit:

====  ============================================================
 400  no HTTP, a target that is not a path, or not one ``Host``
 408  the headers, or the whole request, took too long
 413  a body over the limit, by its announced or its counted length
 414  a request line over the limit
 429  too many requests waiting on one connection
 431  headers over the limit, in bytes or in number
 501  a transfer coding other than chunked
 505  another HTTP than 1.0 and 1.1
====  ============================================================
"""

from __future__ import annotations

import dataclasses

from typing import Final


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What a client may ask of one connection; sizes in bytes, times in seconds.

    Args:
        request_line: The request line, without its line end.
        headers: The header block, trailers included.
        header_count: The number of headers.
        body: The body, without the framing of chunks.
        pipelined: Requests that may wait for the answer to an earlier one.
        header_seconds: From the first byte, or from the connection being
            made, to the end of the headers.
        request_seconds: The same, to the end of the request.
        stall_seconds: How long a client may leave its answers unread.
        linger_seconds: How long what a refused client still sends is read
            and dropped, so that it gets to see the refusal.
    """

    request_line: int = 8192
    headers: int = 32768
    header_count: int = 100
    body: int = 2 * 1024 * 1024
    pipelined: int = 100
    header_seconds: float = 10.0
    request_seconds: float = 15.0
    stall_seconds: float = 60.0
    linger_seconds: float = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """
    Why a request is not answered: a status and a sentence.
    """

    status: int
    sentence: str


MALFORMED: Final = Refusal(400, "This is no valid HTTP request.")
NO_PATH: Final = Refusal(400, "The request target is not a path.")
NO_HOST: Final = Refusal(400, "A request needs one Host header.")
NO_WEBSOCKET: Final = Refusal(400, "This service has no websockets.")
OTHER_CODING: Final = Refusal(
    501, "This service knows no transfer coding but chunked."
)
OTHER_VERSION: Final = Refusal(505, "This service speaks HTTP/1.0 and 1.1.")


def long_request_line(limits: Limits) -> Refusal:
    """
    Refuse a request line over the limit.
    """
    most = limits.request_line
    return Refusal(414, f"The request line is over {most} bytes.")


def large_headers(limits: Limits) -> Refusal:
    """
    Refuse a header block over the limit.
    """
    most = limits.headers
    return Refusal(431, f"The headers are over {most} bytes.")


def many_headers(limits: Limits) -> Refusal:
    """
    Refuse more headers than the limit.
    """
    most = limits.header_count
    return Refusal(431, f"The request has over {most} headers.")


def large_body(limits: Limits) -> Refusal:
    """
    Refuse a body over the limit.
    """
    # PCCS's sentence first: its tools print it.
    most = limits.body
    return Refusal(413, f"Content too large. The body is over {most} bytes.")


def many_waiting(limits: Limits) -> Refusal:
    """
    Refuse more requests than may wait on one connection.
    """
    most = limits.pipelined
    return Refusal(429, f"Over {most} requests wait on this connection.")


def large_waiting(limits: Limits) -> Refusal:
    """
    Refuse larger bodies, taken together, than may wait on one connection.
    """
    most = limits.body
    return Refusal(429, f"Over {most} bytes wait on this connection.")


def late_headers(limits: Limits) -> Refusal:
    """
    Refuse headers that took too long.
    """
    most = limits.header_seconds
    return Refusal(408, f"The headers took over {most:g} seconds.")


def late_request(limits: Limits) -> Refusal:
    """
    Refuse a request that took too long.
    """
    most = limits.request_seconds
    return Refusal(408, f"The request took over {most:g} seconds.")
