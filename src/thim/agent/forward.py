"""
Requests that others answer: what the agent does not know itself is passed
through to another metadata service, and TD reports to a quoting service.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import secrets
import ssl

from typing import TYPE_CHECKING, Final

import httpx2

from starlette.responses import Response

from thim.errors import MalformedError, UnavailableError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import Receive, Scope

#: Far more than a quote or instance metadata have, both ways.
MOST_BYTES: Final = 1024 * 1024
_SECONDS: Final = 10.0
#: RFC 9110, 7.6.1, and what is written anew.
_NOT_PASSED: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class Forwarder:
    """
    An HTTP client for what is passed on; close it when done.

    It knows no proxy, redirect or cookie: whoever asks gets the answer as it
    is.
    """

    def __init__(self) -> None:
        self._client = httpx2.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=_SECONDS,
            cookies=_NoCookies(),
        )
        # Nothing that a guest has not said, such as that it reads gzip.
        self._client.headers.clear()
        #: By which what comes back here is known.
        self._mark = (b"thim-agent", secrets.token_hex(8).encode("ascii"))

    async def close(self) -> None:
        """
        Close its connections.
        """
        await self._client.aclose()

    async def pass_on(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
    ) -> Response:
        """
        Ask *url* the same, and return its answer.

        Raises:
            UnavailableError: There is none, it is too large, or the request
                comes from here.
        """
        sent = passed(headers)
        if self._mark in sent:
            msg = "it is passed through to the agent itself"
            raise UnavailableError(msg, reason="pass-through-loop")
        with _one_error():
            async with self._client.stream(
                method,
                url,
                headers=[*sent, self._mark],
                content=body or None,
            ) as got:
                return await _read(got)


class _NoCookies(http.cookiejar.CookieJar):
    """A jar that stays empty: a guest's cookies are its own."""

    def extract_cookies(self, response: object, request: object) -> None:
        """
        Take none.
        """


@contextlib.contextmanager
def _one_error() -> Iterator[None]:
    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as e:
        msg = f"no answer from the other service ({type(e).__name__})"
        raise UnavailableError(msg, reason="pass-through") from e


async def _read(got: httpx2.Response) -> Response:
    body = bytearray()
    async for chunk in got.aiter_raw():
        body += chunk
        if len(body) > MOST_BYTES:
            msg = f"an answer of more than {MOST_BYTES} bytes"
            raise UnavailableError(msg, reason="pass-through")
    response = Response(bytes(body), got.status_code)
    for name, value in passed(got.headers.raw):
        if name != b"date":  # the server writes its own
            response.raw_headers.append((name.lower(), value))
    return response


def passed(
    headers: Iterable[tuple[bytes, bytes]],
) -> list[tuple[bytes, bytes]]:
    """
    Return those *headers* that are for the other end, not for this connection.
    """
    pairs = [(name.lower(), value) for name, value in headers]
    named = b",".join(v for name, v in pairs if name == b"connection")
    dropped = {each.strip().lower() for each in named.split(b",")}
    dropped |= {name.encode() for name in _NOT_PASSED}
    return [pair for pair in pairs if pair[0] not in dropped]


async def read_body(receive: Receive, most: int = MOST_BYTES) -> bytes:
    """
    Return the body of a request, of *most* bytes.

    Raises:
        MalformedError: It is larger, or cut off.
    """
    found = bytearray()
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] != "http.request":
            msg = "the body was cut off"
            raise MalformedError(msg, reason="body")
        found += message.get("body", b"")
        if len(found) > most:
            msg = f"the body is over {most} bytes"
            raise MalformedError(msg, reason="body-too-large")
        has_more = message.get("more_body", False)
    return bytes(found)


def target_of(scope: Scope) -> str:
    """
    Return the path and query of a request, as they were sent.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    target = raw + (b"?" + query if query else b"")
    return target.decode("latin-1")
