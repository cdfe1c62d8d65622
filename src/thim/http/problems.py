"""
The one table from errors to answers; what is not in it is a 500 without
details.
"""

from __future__ import annotations

import http
import re

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from thim.errors import (
    ConflictError,
    ForbiddenError,
    FrequencyError,
    MalformedError,
    MisdirectedError,
    NotFoundError,
    ThimError,
    UnauthenticatedError,
    UnavailableError,
    UnwritableError,
)
from thim.http.reply import Reply


_TABLE: Final[tuple[tuple[type[ThimError], int, str], ...]] = (
    (MalformedError, 400, "Invalid request parameters."),
    (NotFoundError, 404, "No cache data for this platform."),
    (ConflictError, 409, "Changed meanwhile."),
    (UnavailableError, 503, ""),
    (UnwritableError, 503, ""),
    (UnauthenticatedError, 401, "Authentication failed."),
    (ForbiddenError, 403, "Not allowed."),
    (FrequencyError, 429, "Too many requests."),
    (MisdirectedError, 421, "Not a name of this service."),
)
_Later: TypeAlias = UnavailableError | UnwritableError | FrequencyError
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


#: PCCS's own statuses, which its tools and Intel's QCNL know.
_SENTENCES: Final = {
    413: "Content too large.",
    460: "The integrity of the data can't be verified.",
    461: "The platform was not found in the cache.",
    503: "Server is currently unable to process the request.",
}


def to_reply(error: ThimError, status: int | None = None) -> Reply:
    """
    Answer *error* as the PCS and PCCS families do: PCCS's own sentence first,
    since its tools print it, then what is wrong.  A 503 has no body, because
    Intel's QCNL appends the bodies of its retries to one another.

    *status* is one of PCCS's own, in the place of what the table says.
    """
    if status is not None:
        return _reply(status, _SENTENCES[status], error)
    for kind, usual, sentence in _TABLE:
        if isinstance(error, kind):
            return _reply(usual, sentence, error)
    return _reply(500, "Internal server error occurred.", None)


def _reply(status: int, sentence: str, error: ThimError | None) -> Reply:
    reason = error.reason if error else "internal"
    detail = f" {error}" if error else ""
    headers = [
        (b"cache-control", b"no-store"),
        (b"thim-reason", reason.encode("ascii")),
    ]
    if isinstance(error, UnauthenticatedError):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, _Later):
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if isinstance(error, UnavailableError | UnwritableError):
        return Reply(status=status, headers=tuple(headers), body=b"")
    headers.insert(0, (b"content-type", b"text/plain; charset=utf-8"))
    text = _UNPRINTABLE.sub("?", f"{sentence}{detail}") + "\n"
    return Reply(status=status, headers=tuple(headers), body=text.encode())


def to_problem(error: ThimError, status: int | None = None) -> Reply:
    """
    Answer *error* as our own API does (RFC 9457), with *status* in the place
    of what the table says.
    """
    usual = to_reply(error, status)
    return write_problem(
        usual.status,
        *tell(error),
        [header for header in usual.headers if header[0] != b"content-type"],
    )


def tell(error: ThimError) -> tuple[str, str]:
    """
    Return the reason and the sentence that callers are told of *error*: what
    is not in the table is nobody's business but ours.
    """
    if any(isinstance(error, kind) for kind, *_ in _TABLE):
        return error.reason, str(error)
    return "internal", "Internal server error."


def write_problem(
    status: int,
    reason: str,
    detail: str,
    headers: Iterable[tuple[bytes, bytes]],
) -> Reply:
    """
    Answer a problem (RFC 9457), with other *headers* than its content type.
    """
    problem = {
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "reason": reason,
        "detail": detail,
    }
    return Reply(
        status=status,
        headers=((b"content-type", b"application/problem+json"), *headers),
        body=msgspec.json.encode(problem) + b"\n",
    )
