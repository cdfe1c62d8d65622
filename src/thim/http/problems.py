"""
The one table from errors to answers; what is not in it is a 500 without
details.
"""

from __future__ import annotations

import re

from typing import Final

from thim.errors import (
    MalformedError,
    NotFoundError,
    ThimError,
    UnavailableError,
)
from thim.http.reply import Reply


_TABLE: Final[tuple[tuple[type[ThimError], int, str], ...]] = (
    (MalformedError, 400, "Invalid request parameters."),
    (NotFoundError, 404, "No cache data for this platform."),
    (UnavailableError, 503, ""),
)
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


def to_reply(error: ThimError) -> Reply:
    """
    Answer *error* as the PCS and PCCS families do: PCCS's own sentence first,
    since its tools print it, then what is wrong.  A 503 has no body, because
    Intel's QCNL appends the bodies of its retries to one another.
    """
    for kind, status, sentence in _TABLE:
        if isinstance(error, kind):
            return _reply(status, sentence, error)
    return _reply(500, "Internal server error occurred.", None)


def _reply(status: int, sentence: str, error: ThimError | None) -> Reply:
    reason = error.reason if error else "internal"
    detail = f" {error}" if error else ""
    headers = [
        (b"cache-control", b"no-store"),
        (b"thim-reason", reason.encode("ascii")),
    ]
    if isinstance(error, UnavailableError):
        headers.append((b"retry-after", b"%d" % error.retry_after))
        return Reply(status=status, headers=tuple(headers), body=b"")
    headers.insert(0, (b"content-type", b"text/plain; charset=utf-8"))
    text = _UNPRINTABLE.sub("?", f"{sentence}{detail}") + "\n"
    return Reply(status=status, headers=tuple(headers), body=text.encode())
