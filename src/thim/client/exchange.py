"""
One exchange with a server, apart from the waiting: what both wires decide.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import logging
import ssl
import sys
import time

from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import httpx2
import stamina

from stamina.instrumentation import (
    LoggingOnRetryHook,
    PrometheusOnRetryHook,
    set_on_retry_hooks,
)

from thim.client.answers import BUSY, retry_after
from thim.client.causes import causes, describe
from thim.client.steps import Answer, Failure, Outcome, Request, Source
from thim.errors import OperatorError


if TYPE_CHECKING:
    import os

    from collections.abc import Iterator

#: A certificate chain and its key, both PEM.
OwnFiles: TypeAlias = "tuple[str | os.PathLike[str], str | os.PathLike[str]]"
#: More than any document has; a CRL may have a megabyte, twice that in hex.
MOST_BYTES: Final = 5 * 512 * 1024
#: Each piece costs time, however small it is.
_MOST_PIECES: Final = 4096
MOST_ATTEMPTS: Final = 4
_CONNECT_SECONDS: Final = 5.0
_ENCODED: Final = frozenset({"", "identity"})
_HEADERS: Final = {"accept": "*/*", "accept-encoding": "identity"}
_REDIRECTS: Final = range(300, 400)
ERRORS: Final = (
    TimeoutError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    ssl.SSLError,
    OSError,
    UnicodeError,
)
#: Each attempt is logged there; unless a program wants that, nobody sees it.
logging.getLogger("stamina").addHandler(logging.NullHandler())
# That thim has structlog installed is no reason to write there, and so to
# stdout, for a program that does not use it.
if "structlog" not in sys.modules:
    set_on_retry_hooks((PrometheusOnRetryHook, LoggingOnRetryHook))

#: The outcome of an attempt for which there is no time.
NO_TIME_LEFT: Final = Failure(
    reason="timeout", message="no time was left to ask", is_passing=True
)


class Deadline:
    """The end of the time that one call may take."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """
        Return how many seconds are left, none below zero.
        """
        return max(0.0, self._end - time.monotonic())


def make_context(
    ca_file: str | os.PathLike[str] | None, own: OwnFiles | None = None
) -> ssl.SSLContext:
    """
    Return how certificates are verified: always, with *ca_file* or the
    system's; and with what certificate and key this end is known, if any.

    Raises:
        OperatorError: A file cannot be used.
    """
    try:
        # OpenSSL's own places, and SSL_CERT_FILE, unless a file is named.
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as e:
        msg = f"ca_file {ca_file}: expected certificates in PEM ({e})"
        raise OperatorError(msg, reason="client-ca-file") from e
    if own is not None:
        _load_own(context, own)
    return context


def _load_own(context: ssl.SSLContext, own: OwnFiles) -> None:
    cert, key = own
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as e:
        msg = f"client_cert {cert} and {key}: {e}"
        raise OperatorError(msg, reason="client-certificate") from e


def _no_password() -> str:
    # Without this, OpenSSL would ask on the terminal.
    msg = "the key is encrypted, expected one without a password"
    raise ValueError(msg)


def client_settings(source: Source, context: ssl.SSLContext) -> dict[str, Any]:
    """
    Return the settings of a client for *source*.
    """
    return {
        "verify": context,
        # A proxy has a metadata service of its own: that of another machine.
        "trust_env": source is not Source.IMDS,
        "follow_redirects": False,
        "cookies": _NoCookies(),
    }


@contextlib.contextmanager
def reading_proxies() -> Iterator[None]:
    """
    Make clients, which take their proxies from the environment.

    Raises:
        OperatorError: What is written there is no proxy that can be used.
    """
    try:
        yield
    # Some kinds of proxies need a package that is not there.
    except (httpx2.InvalidURL, ValueError, ImportError) as e:
        # Not what it is: it may have a password.
        msg = (
            "a proxy in the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) "
            "cannot be used: expected http://HOST:PORT"
        )
        raise OperatorError(msg, reason="bad-proxy") from e


class _NoCookies(http.cookiejar.CookieJar):
    """A jar that stays empty."""

    def extract_cookies(self, response: object, request: object) -> None:
        """
        Take none.
        """


def limit(request: Request, deadline: Deadline) -> float:
    """
    Return how many seconds an attempt at *request* may take.
    """
    left = deadline.left()
    return left if request.seconds is None else min(left, request.seconds)


def options(request: Request, seconds: float) -> dict[str, Any]:
    """
    Return the options of an attempt that may take so many *seconds*.
    """
    # It counts for TCP and for TLS, one after the other.  If all of the time
    # ended before either of them does, nobody would close the connection.
    connect = min(_CONNECT_SECONDS, seconds / 3)
    return {
        "headers": {**_HEADERS, **request.headers},
        "content": request.body,
        "timeout": httpx2.Timeout(seconds, connect=connect),
    }


class FaultError(Exception):
    """What an answer must not be."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _PassingError(Exception):
    """An outcome after which to try again, after *seconds* if they are said."""

    def __init__(self, seconds: int | None) -> None:
        super().__init__("no answer, or a busy service")
        self.seconds = seconds


class Last:
    """
    The last outcome of several attempts, which ends them unless it may pass.
    """

    outcome: Outcome = NO_TIME_LEFT

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        return isinstance(error, _PassingError)

    def check(self, outcome: Outcome) -> Outcome:
        """
        Return *outcome*, unless another attempt may have a better one.
        """
        if outcome is NO_TIME_LEFT:
            return self.outcome
        self.outcome = outcome
        if isinstance(outcome, Failure) and outcome.is_passing:
            raise _PassingError(None)
        if isinstance(outcome, Answer) and outcome.status == BUSY:
            raise _PassingError(retry_after(outcome))
        return outcome


def attempts(request: Request, deadline: Deadline) -> Any:  # noqa: ANN401 - both kinds of iterator
    """
    Return the attempts at *request*, until one is final or the time is up.
    """

    def is_tried_again(error: Exception) -> bool | float:
        if not isinstance(error, _PassingError) or not deadline.left():
            return False
        if error.seconds is None:
            return True
        return error.seconds < deadline.left() and float(error.seconds)

    return stamina.retry_context(
        on=is_tried_again,
        attempts=MOST_ATTEMPTS if request.seconds is None else 1,
        timeout=None,
        wait_initial=0.1,
        wait_max=1.0,
        wait_jitter=0.1,
    )


class Body:
    """
    The body of an answer, collected within limits.
    """

    def __init__(self, got: httpx2.Response) -> None:
        _check_head(got)
        self._got = got
        self._bytes = bytearray()
        self._pieces = 0

    def take(self, piece: bytes, deadline: Deadline) -> None:
        """
        Take one *piece*.
        """
        self._bytes += piece
        self._pieces += 1
        if len(self._bytes) > MOST_BYTES or self._pieces > _MOST_PIECES:
            _refuse("too-large", f"more than {MOST_BYTES} bytes or in pieces")
        if not deadline.left():
            raise TimeoutError

    def answer(self) -> Answer:
        """
        Return the whole answer.
        """
        pairs = reversed(self._got.headers.multi_items())
        return Answer(
            status=self._got.status_code,
            headers={name.lower(): value for name, value in pairs},
            body=bytes(self._bytes),
            version=self._got.http_version,
        )


def _check_head(got: httpx2.Response) -> None:
    if got.status_code in _REDIRECTS:
        what = f"status {got.status_code}, a redirect, which is not followed"
        _refuse("redirect", what)
    encoding = got.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODED:
        _refuse("encoded", f"content encoding {encoding[:40]!r}")


def _refuse(reason: str, message: str) -> None:
    raise FaultError(Failure(reason=reason, message=message, is_passing=False))


def blame(error: Exception) -> Failure:
    """
    Return what *error*, one of `ERRORS`, comes down to.
    """
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            told = f"certificate: {cause.verify_message}"
            return Failure(reason="tls", message=told, is_passing=False)
    match error:
        case TimeoutError() | httpx2.TimeoutException():
            reason = "timeout"
        case httpx2.ConnectError() | httpx2.ProxyError():
            reason = "unreachable"
        case httpx2.NetworkError() | httpx2.RemoteProtocolError():
            reason = "cut-off"
        case _:
            reason = "protocol"
    # What a failed question says may be the question.
    is_known = reason == "unreachable"
    why = describe(error) if is_known else type(error).__name__
    told = f"{reason}: {why}"
    is_passing = reason != "protocol"
    return Failure(reason=reason, message=told, is_passing=is_passing)
