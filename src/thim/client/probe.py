"""
Whether the services that a client is to ask answer, and what they are.

One GET for each address, with three seconds for all of it, and certificates
checked against the system's store as QCNL's libcurl does.
"""

from __future__ import annotations

import asyncio
import re
import ssl

from typing import TYPE_CHECKING, Final

import httpx2

from thim.client.causes import causes, explain
from thim.client.findings import Finding, Level
from thim.client.urls import is_intel, is_usable


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.client.qcnl import Wanted

SECONDS: Final = 3.0
_MOST_BYTES: Final = 64 * 1024
#: A root CRL as PCCS gives it, in hexadecimal digits; else DER or PEM.
_CRL: Final = re.compile(
    rb"\s*3082[0-9A-Fa-f]{60}|\x30\x82|-----BEGIN X509 CRL"
)
_OK: Final = 200
_AGENT: Final = "local_pck_url"
#: What QCNL sends there by its ``custom_request_options``.
_METADATA: Final = {"metadata": "true"}
_REDIRECTS: Final = range(300, 400)

#: Level, name, what was seen.
Seen = tuple[Level, str, str]


def probe(wanted: Wanted, seconds: float = SECONDS) -> tuple[Finding, ...]:
    """
    Ask each service that *wanted* names, at once.
    """
    return asyncio.run(ask_all(wanted, seconds))


async def ask_all(wanted: Wanted, seconds: float) -> tuple[Finding, ...]:
    """
    Do the same in a running loop.
    """
    asked = {
        key: url
        for key, url in _questions(wanted)
        if is_usable(getattr(wanted, key))
    }
    # OpenSSL's own places, and SSL_CERT_FILE: not a list that comes with us.
    context = ssl.create_default_context()
    # It counts for TCP and for TLS, one after the other.  If all of the time
    # ended before either of them does, nobody would close the connection.
    timeout = httpx2.Timeout(seconds, connect=seconds * 0.45)
    async with httpx2.AsyncClient(
        verify=context, follow_redirects=False, timeout=timeout
    ) as client:
        seen = await asyncio.gather(
            *(_ask(client, key, url, seconds) for key, url in asked.items())
        )
    return tuple(
        _finding(wanted, key, each)
        for key, each in zip(asked, seen, strict=True)
    )


def _questions(wanted: Wanted) -> Iterator[tuple[str, str]]:
    yield "pccs_url", f"{wanted.pccs_url}rootcacrl"
    if wanted.collateral_service != wanted.pccs_url:
        # Intel keeps its root CRL elsewhere.
        what = (
            "pckcrl?ca=processor&encoding=der"
            if is_intel(wanted.collateral_service)
            else "rootcacrl"
        )
        yield "collateral_service", f"{wanted.collateral_service}{what}"
    if wanted.local_pck_url is not None:
        yield "local_pck_url", f"{wanted.local_pck_url}pckcert"


def _finding(wanted: Wanted, key: str, seen: Seen) -> Finding:
    level, name, message = seen
    if name == "tls-failed" and not wanted.is_verified:
        level = Level.WARNING
        message += "; QCNL does not look, as use_secure_cert is false"
    line, column = wanted.places.get(key, (None, None))
    return Finding(
        level=level,
        name=name,
        message=f"{key}: {message}",
        line=line,
        column=column,
    )


async def _ask(
    client: httpx2.AsyncClient, key: str, url: str, seconds: float
) -> Seen:
    try:
        async with asyncio.timeout(seconds):
            headers = _METADATA if key == _AGENT else {}
            async with client.stream("GET", url, headers=headers) as got:
                body = await _read(got)
    except (TimeoutError, httpx2.TimeoutException):
        message = f"no answer within {seconds:g} s from {url}"
        return Level.ERROR, "timeout", message
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as e:
        name, message = _blame(e)
        return Level.ERROR, name, f"{message} ({url})"
    return _judge(key, url, got, body)


async def _read(got: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in got.aiter_raw():
        body += chunk
        if len(body) > _MOST_BYTES:
            break
    return bytes(body)


def _judge(key: str, url: str, got: httpx2.Response, body: bytes) -> Seen:
    status = got.status_code
    if status in _REDIRECTS:
        message = f"{status}, a redirect, which no such client follows ({url})"
        return Level.ERROR, "redirect", message
    if key == _AGENT:
        # Any answer to a question without parameters shows that it is there:
        # that one is missing, for the most part.
        who = "thim" if "thim-reason" in got.headers else "something"
        message = f"{who} answers, {status} where no platform is named ({url})"
        return Level.NOTE, "answers", message
    if status != _OK:
        message = f"status {status}, expected 200 ({url})"
        return Level.ERROR, "unexpected-status", message
    if not _CRL.match(body):
        message = f"what answers gave no CRL: this is no PCCS ({url})"
        return Level.ERROR, "not-a-pccs", message
    what = "thim" if "thim-digest" in got.headers else "a PCS or PCCS"
    return Level.NOTE, "answers", f"{what} answers ({url})"


def _blame(error: BaseException) -> tuple[str, str]:
    known = explain(error)
    if known is not None:
        return known
    found = list(causes(error))
    if any(isinstance(cause, httpx2.ConnectError) for cause in found):
        return "unreachable", f"no connection: {_last(found)}"
    return "no-http", f"no answer in HTTP: {_last(found)}"


def _last(found: list[BaseException]) -> str:
    return ascii(str(found[-1]) or type(found[-1]).__name__)[1:-1][:200]
