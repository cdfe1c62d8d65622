"""
Servers that say exactly what a test wants said, and who asks them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from thim.errors import UpstreamError
from thim.upstream.model import Request, Response, Upstream
from thim.upstream.transport import Transport
from thim.x509.issue import parse_host


#: What a server does once it has read a request; the connection ends then.
Script = Callable[[asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"content-length: 0\r\n\r\n"
GOOD = OK + b"content-length: 4\r\n\r\ngood"
#: For each attempt, unless a test is about it.
TIMEOUT = 2.5


@dataclasses.dataclass(slots=True)
class Raw:
    """
    A running server: its port, and the requests that it has read.
    """

    port: int = 0
    scheme: str = "http"
    requests: list[bytes] = dataclasses.field(default_factory=list)

    @property
    def url(self) -> str:
        """
        Return the base URL.
        """
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def upstream(self, **changes: Any) -> Upstream:
        """
        Make an upstream that is this server.
        """
        settings = {
            "url": self.url,
            "static_url": self.url,
            "timeout": datetime.timedelta(seconds=TIMEOUT),
            **changes,
        }
        return Upstream(**settings)


def say(*pieces: bytes, each: float = 0) -> Script:
    """
    Say *pieces*, with *each* so many seconds behind each.
    """

    async def script(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(each)

    return script


def say_for_ever(
    first: bytes, again: bytes, each: float = 0, sent: list[int] | None = None
) -> Script:
    """
    Say *first*, and then *again* and again; count the bytes in *sent*.
    """

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(again)
            await writer.drain()
            if sent is not None:
                sent.append(len(again))
            await asyncio.sleep(each)

    return script


async def say_nothing(writer: asyncio.StreamWriter) -> None:
    """
    Keep the caller waiting.
    """
    await asyncio.sleep(60)


@contextlib.asynccontextmanager
async def answering(
    *scripts: Script, tls: SSLContext | None = None
) -> AsyncIterator[Raw]:
    """
    Run a server that answers by *scripts* in their order, then by the last.
    """
    raw = Raw(scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            raw.requests.append(await reader.readuntil(b"\r\n\r\n"))
            at = min(len(raw.requests), len(scripts)) - 1
            await scripts[at](writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # who asked has gone, or the test is over
        finally:
            tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def freely() -> None:
    """
    Permit an attempt.
    """


async def get(
    upstream: Upstream,
    permit: Callable[[], Awaitable[None]] = freely,
    **request: Any,
) -> Response:
    """
    Ask *upstream* once, on connections of its own.
    """
    transport = Transport(upstream)
    try:
        return await transport.get(
            Request(url=f"{upstream.url}/x", **request), permit
        )
    finally:
        await transport.close()


def ask(*scripts: Script, **changes: Any) -> tuple[Response, list[bytes]]:
    """
    Ask a server that answers by *scripts*; return the answer, and all that it
    was asked.
    """

    async def scenario() -> tuple[Response, list[bytes]]:
        async with answering(*scripts) as raw:
            return await get(raw.upstream(**changes)), raw.requests

    return asyncio.run(scenario())


def ask_in_vain(*scripts: Script, **changes: Any) -> tuple[str, int]:
    """
    Ask a server that fails; return the reason, and how often it was asked.
    """

    async def scenario() -> tuple[str, int]:
        async with answering(*scripts) as raw:
            try:
                got = await get(raw.upstream(**changes))
            except UpstreamError as e:
                return e.reason, len(raw.requests)
        msg = f"expected an error, got {got}"
        raise AssertionError(msg)

    return asyncio.run(scenario())


def make_tls(folder: Path, name: str = "127.0.0.1") -> tuple[SSLContext, Path]:
    """
    Make a server's certificate for *name* that signed itself; return what a
    server needs of it, and the file that a client has to trust.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(
            x509.SubjectAlternativeName([parse_host(name)]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    return context, chain
