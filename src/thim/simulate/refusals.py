"""
What the simulated vendors refuse, and how they say so.
"""

from __future__ import annotations

from typing import Final

from thim.errors import NotFoundError, ParameterError, ThimError
from thim.simulate.answers import Answer
from thim.simulate.catalogue import GoneError
from thim.simulate.orders import Route, Target


class KeyRefusedError(ThimError):
    """
    The subscription key is missing or not the right one.
    """

    default_reason = "key"


class MethodError(ThimError):
    """
    A method that the path does not have.
    """

    default_reason = "method"


class MediaTypeError(ThimError):
    """
    A body of another kind than is expected.
    """

    default_reason = "media-type"


class TooLargeError(ThimError):
    """
    A body that is too large to be read.
    """

    default_reason = "size"


class CodedError(ThimError):
    """
    What Intel has an ``Error-Code`` of its own for.
    """

    default_reason = "coded"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LimitedError(ThimError):
    """
    More requests than are allowed; the next one is after *seconds*, where
    that is told.
    """

    default_reason = "limited"

    def __init__(self, seconds: int | None) -> None:
        super().__init__("too many requests")
        self.seconds = seconds


_STATUSES: Final[tuple[tuple[type[ThimError], int], ...]] = (
    (GoneError, 410),
    (NotFoundError, 404),
    (ParameterError, 400),
    (CodedError, 400),
    (KeyRefusedError, 401),
    (MethodError, 405),
    (TooLargeError, 413),
    (MediaTypeError, 415),
    (LimitedError, 429),
)
#: The routes whose 400 carries a code and a message.
_CODED: Final = frozenset(
    {Route.PCK_CRL, Route.PCKCERT, Route.PCKCERTS, Route.REGISTRATION}
)


def refuse(error: ThimError, target: Target) -> Answer:
    """
    Answer a request for *target* that *error* stands against.
    """
    status = next(code for kind, code in _STATUSES if isinstance(error, kind))
    answer = Answer(
        status=status,
        headers=(("Content-Type", "text/plain; charset=utf-8"),),
        body=f"{error}\n".encode(),
    )
    if isinstance(error, LimitedError) and error.seconds is not None:
        return answer.with_headers(Retry_After=str(error.seconds))
    if status != 400 or target.route not in _CODED:
        return answer
    code = error.code if isinstance(error, CodedError) else _SYNTAX
    return answer.with_headers(Error_Code=code, Error_Message=_printable(error))


_SYNTAX: Final = "InvalidRequestSyntax"


def _printable(error: ThimError) -> str:
    return str(error).encode("ascii", "replace").decode()
