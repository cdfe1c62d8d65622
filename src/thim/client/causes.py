"""
Why nobody could be asked, in words: what lies beneath the wire's own errors.
"""

from __future__ import annotations

import os
import socket
import ssl

from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: OpenSSL's reasons that say little to who does not know it.
_REASONS: Final[Mapping[str, str]] = {
    "WRONG_VERSION_NUMBER": "it speaks none there (http:// perhaps)",
}


def explain(error: BaseException) -> tuple[str, str] | None:
    """
    Return name and words of the first cause of *error* that says more than
    the error itself; None if there is none.

    The words repeat nothing of the question.
    """
    for cause in causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return "tls-failed", f"certificate: {cause.verify_message}"
            case ssl.SSLError():
                # One that OpenSSL did not raise has no reason.
                why = getattr(cause, "reason", None) or "no handshake"
                return "tls-failed", f"TLS: {_REASONS.get(why, why)}"
            case socket.gaierror():
                return "name-not-found", f"no such host: {cause.strerror}"
            case ConnectionRefusedError():
                return "refused", "nobody listens there: connection refused"
    return None


def describe(error: BaseException) -> str:
    """
    Say why there was no connection; at least of what kind *error* is.
    """
    known = explain(error)
    if known is not None:
        return known[1]
    numbers = [c.errno for c in causes(error) if isinstance(c, OSError)]
    told = [os.strerror(number) for number in numbers if number]
    return told[-1] if told else type(error).__name__


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """
    Return *error* and what led to it, the outermost first.
    """
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from causes(each)
        error = error.__cause__ or error.__context__
