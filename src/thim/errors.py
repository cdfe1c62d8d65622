"""
Every error this package raises on purpose.

- ThimError
  - MalformedError: bytes that are not what they claim to be
    - ParameterError: a caller's parameter that cannot be used
  - UntrustedError: well-formed, but a signature, chain or date does not hold
  - NotFoundError: nobody has it
  - MisdirectedError: a request under a name that is not ours
  - ConflictError: somebody else has changed it meanwhile
  - UnauthenticatedError: a caller shows no token that counts
  - ForbiddenError: a caller may not do that, or not in that way
  - FrequencyError: a caller tries too often
  - UpstreamError: a vendor service failed us; a retry may help
  - UnavailableError: we cannot answer now; a retry may help
  - OperatorError: a path, key or schema that the operator gave cannot work
    - UnwritableError: what we keep cannot be changed now; a retry may help

Each carries a *reason*: a short stable name in kebab-case for machines, beside
the message for people.  HTTP status codes are not mentioned here: only the
HTTP layer knows them.
"""

from __future__ import annotations

import re

from typing import ClassVar, Final


class ThimError(Exception):
    """
    Superclass of all errors raised on purpose.

    Never raised directly.
    """

    default_reason: ClassVar[str] = "error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason


class MalformedError(ThimError):
    """
    Input that cannot be read as the format it claims to be.
    """

    default_reason = "malformed"


class ParameterError(MalformedError):
    """
    A request parameter whose value cannot be used.

    The message names the parameter, the value and what was expected.
    """

    default_reason = "parameter"

    def __init__(self, parameter: str, value: str, expected: str) -> None:
        super().__init__(f"{parameter}: got {shorten(value)}, {expected}")
        self.parameter = parameter


#: With what turns the direction of the text behind it (Unicode's UAX 9).
_UNPRINTABLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    """
    Write *text* so that it cannot drive a terminal, begin a line or be shown
    in another order: it may come from elsewhere.
    """
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def shorten(value: object, most: int = 80) -> str:
    """
    Write *value* for a message, cut off behind *most* characters.
    """
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        text = f"a number in {type(value).__name__} that is too large"
    return text if len(text) <= most else f"{text[:most]}…"


class UntrustedError(ThimError):
    """
    Input that reads well, but whose signature, chain or date does not hold.
    """

    default_reason = "untrusted"


class NotFoundError(ThimError):
    """
    Nothing is known under this name, and asking again will not help.
    """

    default_reason = "not-found"


class MisdirectedError(ThimError):
    """
    A request that was sent to a name which is not ours.
    """

    default_reason = "unknown-host"


class ConflictError(ThimError):
    """
    What was to be changed is not any more what the caller had seen.
    """

    default_reason = "conflict"


class UnauthenticatedError(ThimError):
    """
    A caller who shows no token, or none that counts.
    """

    default_reason = "unauthenticated"


class ForbiddenError(ThimError):
    """
    A caller who is known and may not do that, or not in that way.
    """

    default_reason = "forbidden"


class FrequencyError(ThimError):
    """
    A caller who tries too often; again after *retry_after* seconds.
    """

    default_reason = "frequency"

    def __init__(
        self, message: str, *, reason: str | None = None, retry_after: int = 60
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class UpstreamError(ThimError):
    """
    A vendor service failed to answer as it should; a retry may help.
    """

    default_reason = "upstream"


class UnavailableError(ThimError):
    """
    We cannot answer at the moment; a retry may help, after *retry_after*
    seconds.
    """

    default_reason = "unavailable"

    def __init__(
        self, message: str, *, reason: str | None = None, retry_after: int = 1
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class OperatorError(ThimError):
    """
    Something that the operator named cannot work: a path, a key, a schema.
    """

    default_reason = "setting"


class UnwritableError(OperatorError):
    """
    The store cannot be written at the moment: its disk is full, somebody holds
    its lock, or its server is away; again after *retry_after* seconds.
    """

    default_reason = "store-write"

    def __init__(
        self, message: str, *, reason: str | None = None, retry_after: int = 5
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after
