"""
The wire to one upstream: bounded in time and bytes, no redirects, one error.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.cookiejar
import ssl

from typing import TYPE_CHECKING, Final

import httpx2
import stamina

from stamina.instrumentation import (
    LoggingOnRetryHook,
    PrometheusOnRetryHook,
    set_on_retry_hooks,
)

from thim.errors import OperatorError, UpstreamError
from thim.upstream.client_certificate import OwnCertificate
from thim.upstream.model import Response


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from thim.upstream.model import Request, Upstream

#: More than any document has; a CRL may have a megabyte, twice that in hex.
MOST_BYTES: Final = 5 * 512 * 1024
#: Each piece costs time, however small it is; a megabyte comes in hundreds.
_MOST_PIECES: Final = 4096
MOST_ATTEMPTS: Final = 2
_CONNECT_SECONDS: Final = 5.0
_ENCODED: Final = frozenset({"", "identity"})
#: Reasons for which the same request may succeed at once.
_PASSING: Final = frozenset({"unreachable", "timeout", "cut-off", "status-5xx"})
_HEADERS: Final = {"accept": "*/*", "accept-encoding": "identity"}
# Where structlog is installed it would be told, and write to stdout.
set_on_retry_hooks((PrometheusOnRetryHook, LoggingOnRetryHook))


class Transport:
    """
    HTTP to one upstream; close it when done.

    Raises:
        OperatorError: The upstream's CA file or proxy cannot be used.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._seconds = upstream.timeout.total_seconds()
        self._own: OwnCertificate | None = None
        try:
            context = _make_context(upstream)
            self._client = _client(upstream, context)
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as e:
            msg = f"upstream {upstream.url}: {_blame(upstream, e)}"
            raise OperatorError(msg, reason="upstream-setting") from e
        cert, key = upstream.client_cert, upstream.client_key
        if cert is not None and key is not None:
            self._own = OwnCertificate(cert, key, context)

    async def close(self) -> None:
        """
        Close its connections.
        """
        await self._client.aclose()

    async def get(
        self, request: Request, permit: Callable[[], Awaitable[None]]
    ) -> Response:
        """
        Ask once, and once more where that may help.

        *permit* is awaited before each attempt.  What it raises ends them;
        where one has failed already, that one's error is raised instead.

        Raises:
            UpstreamError: With the reason ``unreachable``, ``timeout``,
                ``cut-off``, ``status-5xx``, ``redirect``, ``too-large``,
                ``encoded`` or ``protocol``.
        """
        failed: UpstreamError | None = None
        async for attempt in stamina.retry_context(
            on=_is_passing,
            attempts=MOST_ATTEMPTS,
            timeout=None,
            wait_initial=0.1,
            wait_max=1.0,
            wait_jitter=0.2,
        ):
            with attempt:
                await _permit(permit, failed)
                try:
                    return await self._get_once(request)
                except UpstreamError as e:
                    failed = e
                    raise
        raise AssertionError  # retry_context ends by returning or raising

    async def _get_once(self, request: Request) -> Response:
        if self._own is not None:
            self._own.look()
        with _one_error(request):
            async with asyncio.timeout(self._seconds):
                return await self._read(request)

    async def _read(self, request: Request) -> Response:
        headers = {**_HEADERS, **request.headers}
        async with self._client.stream(
            request.method,
            request.url,
            headers=headers,
            content=request.body or None,
        ) as got:
            _check_head(request, got)
            body = await _read_body(request, got)
        return Response(
            url=request.name,
            status=got.status_code,
            headers=_first_of_each(got.headers),
            body=body,
            has_key=self._upstream.api_key is not None,
        )


def _blame(upstream: Upstream, error: Exception) -> str:
    if isinstance(error, OSError) and upstream.ca_file is not None:
        file = upstream.ca_file
        return f"ca_file {file}: expected certificates in PEM ({error})"
    return str(error)


def _make_context(upstream: Upstream) -> ssl.SSLContext:
    if upstream.ca_file is not None:
        return ssl.create_default_context(cafile=str(upstream.ca_file))
    if upstream.client_cert is not None:
        # That of all the others is no place for a key.
        return ssl.create_default_context()
    return system_roots(trust_env=upstream.proxy is None)


def _client(upstream: Upstream, context: ssl.SSLContext) -> httpx2.AsyncClient:
    trust_env = upstream.proxy is None
    is_direct = upstream.proxy == "none"
    seconds = upstream.timeout.total_seconds()
    # It counts for TCP and for TLS, one after the other.  If the attempt ended
    # before either of them does, nobody would close the connection.
    connect = min(_CONNECT_SECONDS, seconds / 3)
    return httpx2.AsyncClient(
        verify=context,
        proxy=None if is_direct else upstream.proxy,
        trust_env=trust_env,
        follow_redirects=False,
        timeout=httpx2.Timeout(seconds, connect=connect),
        cookies=_NoCookies(),
    )


@functools.cache
def system_roots(*, trust_env: bool) -> ssl.SSLContext:
    """
    Read the system's roots, once for all upstreams: they are many.
    """
    return httpx2.create_ssl_context(trust_env=trust_env)


class _NoCookies(http.cookiejar.CookieJar):
    """A jar that stays empty: nobody fills our memory or requests."""

    def extract_cookies(self, response: object, request: object) -> None:
        """
        Take none.
        """


async def _permit(
    permit: Callable[[], Awaitable[None]], failed: UpstreamError | None
) -> None:
    try:
        await permit()
    except UpstreamError:
        if failed is None:
            raise
        raise failed from failed.__cause__


def _first_of_each(headers: httpx2.Headers) -> dict[str, str]:
    pairs = reversed(headers.multi_items())
    return {name.lower(): value for name, value in pairs}


def _is_passing(error: Exception) -> bool:
    return isinstance(error, UpstreamError) and error.reason in _PASSING


@contextlib.contextmanager
def _one_error(request: Request) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, httpx2.TimeoutException) as e:
        raise _error(request, "no answer in time", "timeout") from e
    except (httpx2.ConnectError, httpx2.ProxyError) as e:
        raise _error(request, f"not reachable ({e})", "unreachable") from e
    except (httpx2.NetworkError, httpx2.RemoteProtocolError) as e:
        raise _error(request, f"cut off ({e})", "cut-off") from e
    except (httpx2.LocalProtocolError, UnicodeError):
        # What it says may be the key.
        what = "a URL or header that cannot be sent"
        raise _error(request, what, "protocol") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as e:
        raise _error(request, f"{type(e).__name__} {e}", "protocol") from e


def _error(request: Request, what: str, reason: str) -> UpstreamError:
    return UpstreamError(f"{request.name}: {what}", reason=reason)


def _check_head(request: Request, got: httpx2.Response) -> None:
    status = got.status_code
    if 300 <= status < 400:  # noqa: PLR2004
        what = f"{status}, a redirect, which is not followed"
        raise _error(request, what, "redirect")
    if status >= 500 and "retry-after" not in got.headers:  # noqa: PLR2004
        raise _error(request, f"status {status}", "status-5xx")
    encoding = got.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODED:
        what = f"content encoding {encoding[:40]!r}, expected none"
        raise _error(request, what, "encoded")


async def _read_body(request: Request, got: httpx2.Response) -> bytes:
    body = bytearray()
    pieces = 0
    async for chunk in got.aiter_raw():
        body += chunk
        pieces += 1
        if len(body) > MOST_BYTES or pieces > _MOST_PIECES:
            what = f"more than {MOST_BYTES} bytes or {_MOST_PIECES} pieces"
            raise _error(request, what, "too-large")
    return bytes(body)
