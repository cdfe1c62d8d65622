"""
What can go wrong when a program asks for collateral, and who said so.

::

    ThimError
      ClientError                   each source that was tried is in *attempts*
      - BadQuoteError               the quote names no platform (MalformedError)
      - CollateralNotFoundError     there is no such thing     (NotFoundError)
      - RequestRefusedError         the service will not answer this question
      - CollateralUnavailableError  later, perhaps          (UnavailableError)
      - BadAnswerError              an answer that cannot be read, or is one to
                                    another question          (MalformedError)
      - MixedCollateralError        TCB info and identity of two evaluation
                                    numbers, also when asked again
      - AttestationRefusedError     the service gives no token, and says why
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Self

from thim.errors import (
    MalformedError,
    NotFoundError,
    ThimError,
    UnavailableError,
)


if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """
    One source that was tried, and what came of it.

    *source* is ``imds`` or ``service``; *url* is where it was asked, without
    what names a machine.
    """

    source: str
    url: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.source} {self.url}: {self.outcome}"


class ClientError(ThimError):
    """
    Superclass of all errors that a client raises on purpose.

    *attempts* are the sources that were tried, in order.
    """

    default_reason = "client"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message, reason=reason)
        self.message = message
        self.attempts = tuple(attempts)

    def __str__(self) -> str:
        told = "; ".join(map(str, self.attempts))
        return f"{self.message} ({told})" if told else self.message

    def with_attempts(self, attempts: Sequence[Attempt]) -> Self:
        """
        Say that all of *attempts* were made.
        """
        self.attempts = tuple(attempts)
        return self


class BadQuoteError(ClientError, MalformedError):
    """
    A quote that cannot be read, or that carries no PCK certificate.
    """

    default_reason = "quote"


class CollateralNotFoundError(ClientError, NotFoundError):
    """
    There is no such collateral; the *reason* is the service's own, if it gave
    one.
    """

    default_reason = "not-found"


class RequestRefusedError(ClientError):
    """
    The service does not answer this question, or not to this caller.
    """

    default_reason = "refused"


class CollateralUnavailableError(ClientError, UnavailableError):
    """
    Nobody could answer at the moment; *retry_after* is in seconds, None where
    nobody said when.
    """

    default_reason = "unavailable"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        attempts: Sequence[Attempt] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, reason=reason, attempts=attempts)
        self.retry_after = retry_after  # type: ignore[assignment]


class BadAnswerError(ClientError, MalformedError):
    """
    An answer that cannot be read, or is one to another question.
    """

    default_reason = "answer"


class MixedCollateralError(ClientError):
    """
    TCB info and identity are of two evaluation numbers, also when asked again.
    """

    default_reason = "mixed"


class AttestationRefusedError(ClientError):
    """
    The attestation service gives no token, and says why.

    Attributes:
        status: Of its answer.
        code: What kind of reason it has, such as ``InvalidParameter``.
        said: The reason, for people.
        inner_code: Which validation failed, if it says so; else empty.
        inner: The same for people.
    """

    default_reason = "attestation-refused"

    def __init__(  # noqa: PLR0913 - what such an answer says
        self,
        message: str,
        *,
        status: int,
        code: str,
        said: str,
        inner_code: str = "",
        inner: str = "",
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message, attempts=attempts)
        self.status = status
        self.code = code
        self.said = said
        self.inner_code = inner_code
        self.inner = inner
