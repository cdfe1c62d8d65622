"""
What an answer says, or the error that it is.
"""

from __future__ import annotations

import dataclasses
import datetime
import re

from collections.abc import Mapping
from typing import Final, NoReturn

from thim.client.errors import (
    Attempt,
    BadAnswerError,
    ClientError,
    CollateralNotFoundError,
    CollateralUnavailableError,
    RequestRefusedError,
)
from thim.client.steps import Answer, Failure, Outcome, Request
from thim.errors import printable


OK: Final = 200
BUSY: Final = 503
_TOO_OFTEN: Final = 429
#: PCCS's own are 461, platform unknown, and 462, no certificate for it.
_ABSENT: Final = frozenset({404, 410, 461, 462})
_CALLER: Final = range(400, 500)
_SERVER: Final = range(500, 600)
#: Failures for which an answer is to blame, and not its absence.
_BAD: Final = frozenset({"redirect", "encoded", "too-large"})
_REASON: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)
_MAX_AGE: Final = re.compile(r"max-age=\"?(\d{1,9})\"?", re.ASCII)
_SHOWN: Final = 200


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """
    An answer with status 200, and how it came.

    *source* is ``imds``, ``cache`` or ``service``; *is_stale* where it is used
    after the time for which it might be kept.
    """

    source: str
    fetched: datetime.datetime
    headers: Mapping[str, str]
    body: bytes
    is_stale: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """
        Return what the answer warned of, and that it is stale if it is.
        """
        sent = self.headers.get("warning")
        said = (printable(sent),) if sent else ()
        if not self.is_stale:
            return said
        stale = f'111 - "kept since {self.fetched:%FT%TZ}, and nobody answers"'
        return (*said, stale)


def take(
    what: str, request: Request, outcome: Outcome, now: datetime.datetime
) -> Got:
    """
    Take the answer to *request*, which came *now*; *what* was wanted.

    Raises:
        ClientError: It is none, or none with status 200.
    """
    if isinstance(outcome, Failure):
        _fail(what, request, outcome)
    if outcome.status != OK:
        raise refusal(what, outcome, (attempt(request, outcome),))
    return Got(
        source=request.source.value,
        fetched=now,
        headers=outcome.headers,
        body=outcome.body,
    )


def attempt(request: Request, outcome: Outcome) -> Attempt:
    """
    Return what came of *request*, for people.
    """
    source = request.source.value
    return Attempt(source, request.shown, _describe(outcome))


def _describe(outcome: Outcome) -> str:
    if isinstance(outcome, Failure):
        return outcome.message
    reason = _find_reason(outcome)
    return f"status {outcome.status}{f', {reason}' if reason else ''}"


def _fail(what: str, request: Request, failure: Failure) -> NoReturn:
    is_bad = failure.reason in _BAD
    error = BadAnswerError if is_bad else CollateralUnavailableError
    raise error(
        what, reason=failure.reason, attempts=(attempt(request, failure),)
    )


def refusal(
    what: str, answer: Answer, attempts: tuple[Attempt, ...]
) -> ClientError:
    """
    Return the error that *answer*, one with another status than 200, is.
    """
    status = answer.status
    reason = _find_reason(answer) or f"status-{status}"
    if status in _ABSENT:
        return CollateralNotFoundError(what, reason=reason, attempts=attempts)
    if status == _TOO_OFTEN or status in _SERVER:
        return CollateralUnavailableError(
            what,
            reason=reason,
            attempts=attempts,
            retry_after=retry_after(answer),
        )
    if status in _CALLER:
        said = printable(answer.body[:_SHOWN].decode("utf-8", "replace"))
        return RequestRefusedError(
            f"{what}: {said!r}", reason=reason, attempts=attempts
        )
    return BadAnswerError(what, reason=reason, attempts=attempts)


def retry_after(answer: Answer) -> int | None:
    """
    Return after how many seconds to ask again, if the answer says so.
    """
    return _seconds(answer.headers.get("retry-after", ""))


def _find_reason(answer: Answer) -> str:
    reason = answer.headers.get("thim-reason", "")
    return reason if _REASON.fullmatch(reason) else ""


def _seconds(text: str) -> int | None:
    text = text.strip()
    return int(text) if _SECONDS.fullmatch(text) else None


def max_age(headers: Mapping[str, str]) -> datetime.timedelta | None:
    """
    Return for how long an answer with *headers* may still be kept (RFC 9111,
    5.2.2), None for not at all.
    """
    listed = headers.get("cache-control", "").lower().split(",")
    directives = [directive.strip() for directive in listed]
    if {"no-store", "no-cache"} & set(directives):
        return None
    allowed = [m[1] for d in directives if (m := _MAX_AGE.fullmatch(d))]
    if not allowed:
        return None
    age = _seconds(headers.get("age", "")) or 0
    left = min(map(int, allowed)) - age
    return datetime.timedelta(seconds=left) if left > 0 else None
