"""
Sending to a webhook, to where it is meant to be and nowhere else.

Its name is looked up once.  Each address that it has must be allowed, and the
connection goes to one of those very addresses: a name that means something
else a moment later gains nothing.  No proxy, no redirect and no cookie is
followed, and of the answer only the status counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import urllib.parse

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

import httpx2

from thim.errors import UpstreamError, printable
from thim.upstream.addresses import Address, is_allowed, parse_address
from thim.upstream.transport import system_roots
from thim.upstream.webhook import Outcome, Posted, Webhook, sign


if TYPE_CHECKING:
    from datetime import datetime

#: Returns the addresses of a host and port.
Resolver = Callable[[str, int], Awaitable[Collection[str]]]

#: An answer is read so far that a receiver is not cut off, and no further.
_MOST_BYTES: Final = 4096
_DRAIN_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 5.0
#: So many of a name's addresses are tried.
_MOST_ADDRESSES: Final = 4
_MOST_TEXT: Final = 200
_GONE: Final = 410
_HEADERS: Final = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": "thim",
}


async def look_up(host: str, port: int) -> Collection[str]:
    """
    Ask the system for the addresses of *host*.

    Raises:
        OSError: It has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    return [str(sockaddr[0]) for *_, sockaddr in found]


async def post(
    hook: Webhook,
    body: bytes,
    *,
    now: datetime,
    delivery_id: str,
    resolve: Resolver = look_up,
) -> Posted:
    """
    Send *body* (JSON) to *hook*, signed, once.

    Whatever its receiver does or leaves, that is an outcome and no error.
    """
    headers = {**_HEADERS, **sign(hook.secret, delivery_id, now, body)}
    try:
        async with _client(hook) as client:
            async with asyncio.timeout(hook.timeout.total_seconds()):
                addresses = await _find_addresses(hook, resolve)
                got = await _send(client, hook, addresses, headers, body)
            await _finish(got)
    except UpstreamError as e:
        return Posted(Outcome.FAILED, str(e))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as e:
        return Posted(Outcome.FAILED, _describe(hook, e))
    return _judge(got.status_code)


async def _find_addresses(
    hook: Webhook, resolve: Resolver
) -> Sequence[Address]:
    try:
        texts = await resolve(hook.host, hook.port)
    except (OSError, UnicodeError) as e:
        msg = f"{hook.host} has no address ({e})"
        raise _error(msg) from e
    addresses = list(dict.fromkeys(map(parse_address, texts)))
    for address in addresses:
        if not is_allowed(address, hook.networks, only_listed=hook.is_plain):
            why = "plain HTTP" if hook.is_plain else "no public address"
            msg = f"{hook.host} is at {address}: {why}, and not in `allow`"
            raise _error(msg)
    if not addresses:
        msg = f"{hook.host} has no address"
        raise _error(msg)
    return addresses[:_MOST_ADDRESSES]


def _client(hook: Webhook) -> httpx2.AsyncClient:
    seconds = hook.timeout.total_seconds()
    connect = min(_CONNECT_SECONDS, seconds / 3)
    return httpx2.AsyncClient(
        verify=_find_roots(hook),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(seconds, connect=connect),
    )


def _find_roots(hook: Webhook) -> ssl.SSLContext:
    if hook.is_plain:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody
    if hook.ca_file is None:
        return system_roots(trust_env=True)
    try:
        return ssl.create_default_context(cafile=str(hook.ca_file))
    except OSError as e:
        msg = f"ca_file {hook.ca_file}: expected certificates in PEM ({e})"
        raise _error(msg) from e


async def _send(
    client: httpx2.AsyncClient,
    hook: Webhook,
    addresses: Sequence[Address],
    headers: dict[str, str],
    body: bytes,
) -> httpx2.Response:
    """Send to the first of *addresses* at which somebody listens."""
    headers["host"] = urllib.parse.urlsplit(hook.url).netloc
    for nth, address in enumerate(addresses, 1):
        request = client.build_request(
            "POST",
            httpx2.URL(hook.url).copy_with(host=str(address)),
            headers=headers,
            content=body,
            # TLS names, and asks for, whom the operator has named.
            extensions={"sni_hostname": hook.host},
        )
        try:
            return await client.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            if nth == len(addresses):
                raise
    raise AssertionError  # there is an address


async def _finish(got: httpx2.Response) -> None:
    # Its status is known: nothing that comes behind it matters.
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            size = 0
            async for piece in got.aiter_raw():
                size += len(piece)
                if size > _MOST_BYTES:
                    break
    with contextlib.suppress(OSError, httpx2.HTTPError):
        await got.aclose()


def _judge(status: int) -> Posted:
    if 200 <= status < 300:  # noqa: PLR2004
        return Posted(Outcome.DELIVERED, f"status {status}")
    if status == _GONE:
        return Posted(Outcome.GONE, f"status {status}: it is gone for good")
    is_redirect = 300 <= status < 400  # noqa: PLR2004
    more = ", a redirect, which is not followed" if is_redirect else ""
    return Posted(Outcome.FAILED, f"status {status}{more}")


def _describe(hook: Webhook, error: Exception) -> str:
    """Say what went wrong; only of connecting in the words of the error."""
    if isinstance(error, httpx2.ConnectError):
        return f"not reachable ({printable(str(error))[:_MOST_TEXT]})"
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return f"no answer in {hook.timeout.total_seconds():g} s"
    if isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError):
        return f"cut off ({type(error).__name__})"
    return f"it cannot be sent ({type(error).__name__})"


def _error(what: str) -> UpstreamError:
    return UpstreamError(printable(what), reason="webhook")
