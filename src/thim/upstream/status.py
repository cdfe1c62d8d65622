"""
What a service's status and headers say about it (PCS API v4, status codes).
"""

from __future__ import annotations

import email.utils

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final

from thim.errors import UpstreamError


if TYPE_CHECKING:
    from datetime import datetime

    from thim.upstream.model import Response

OK: Final = 200
#: There is no such document; PCCS says 461 of a platform.
ABSENT: Final = {404: "vendor-has-none", 410: "withdrawn", 461: "unknown"}
_KEY_REFUSED: Final = "key-refused"
_REASONS: Final = {
    400: "bad-request",
    401: _KEY_REFUSED,
    403: _KEY_REFUSED,
    429: "vendor-busy",
}
#: Answers of a service that is there and well.
_SOUND: Final = frozenset({OK, 400, *ABSENT})
_SERVER_ERROR: Final = 500
_UNAVAILABLE: Final = 503
#: What a thim says that is well, and whose vendor is.
_IN_PROGRESS: Final = frozenset({"fill-in-progress", "not-now"})
_LONGEST: Final = timedelta(hours=1)


def is_sound(response: Response) -> bool:
    """
    Tell whether it is the answer of a service that is there and well.
    """
    return response.status in _SOUND or is_being_fetched(response)


def is_being_fetched(response: Response) -> bool:
    """
    Tell whether another thim is having it fetched itself, or will be when it
    may ask again.
    """
    reason = response.headers.get("thim-reason")
    return response.status == _UNAVAILABLE and reason in _IN_PROGRESS


def status_error(response: Response) -> UpstreamError:
    """
    Make an error of a status that is none of a well service's.
    """
    reason = _REASONS.get(response.status, f"status-{response.status}")
    if response.status >= _SERVER_ERROR:
        # Without Retry-After it has been asked twice, and is an error by then.
        reason = "vendor-busy"
    msg = f"{response.url}: status {response.status}"
    if reason == _KEY_REFUSED and not response.has_key:
        msg += "; no API key is configured for this upstream (api_key_file)"
    return UpstreamError(msg, reason=reason)


def find_retry_after(response: Response, now: datetime) -> timedelta | None:
    """
    Return for how long the service wants to be left alone, an hour at most.
    """
    text = response.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=min(int(text[:9]), 86400))
    elif (then := _http_date(text)) is not None:
        wait = then - now
    else:
        return None
    return min(max(wait, timedelta(0)), _LONGEST) or None


def _http_date(text: str) -> datetime | None:
    try:
        then = email.utils.parsedate_to_datetime(text)
        if then.tzinfo is None:  # one of the old forms, which name no zone
            then = then.replace(tzinfo=UTC)
        return then.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def find_clock_ahead(response: Response, now: datetime) -> float | None:
    """
    Return by how many seconds the service's clock is ahead of *now*.
    """
    then = _http_date(response.headers.get("date", ""))
    return None if then is None else (then - now).total_seconds()
