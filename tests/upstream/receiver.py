"""
A receiver of webhooks that keeps what it got and answers as a test wants.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import hmac
import ipaddress
import json

from collections.abc import AsyncIterator
from ssl import SSLContext
from typing import Any

from tests.upstream.raw import OK, Script, say
from thim.upstream.webhook import Webhook


SECRET = b"a secret of 24 bytes....."
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
TAKEN = OK + b"content-length: 0\r\n\r\n"


def status(code: int, *headers: bytes) -> Script:
    """
    Answer with a status and nothing else.
    """
    lines = (f"HTTP/1.1 {code} x".encode(), *headers, b"content-length: 0")
    return say(b"\r\n".join((*lines, b"", b"")))


@dataclasses.dataclass(frozen=True, slots=True)
class Post:
    """
    What was received; names of headers in lower case.
    """

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """
        Return the body as JSON.
        """
        return json.loads(self.body)

    def is_signed(self, secret: bytes = SECRET) -> bool:
        """
        Verify the signature, as a receiver would.
        """
        head = self.headers
        signed = b".".join(
            (
                head["webhook-id"].encode(),
                head["webhook-timestamp"].encode(),
                self.body,
            )
        )
        mac = hmac.new(secret, signed, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(mac).decode()
        return hmac.compare_digest(expected, head["webhook-signature"])


@dataclasses.dataclass(slots=True)
class Receiver:
    """
    A running receiver and what it got.
    """

    port: int = 0
    scheme: str = "http"
    posts: list[Post] = dataclasses.field(default_factory=list)
    connections: int = 0

    def hook(self, host: str = "127.0.0.1", **changes: Any) -> Webhook:
        """
        Make a webhook that leads here.
        """
        settings = {
            "name": "here",
            "url": f"{self.scheme}://{host}:{self.port}/take?token=t0ken",
            "secret": SECRET,
            "networks": LOOPBACK,
            **changes,
        }
        return Webhook(**settings)


@contextlib.asynccontextmanager
async def receiving(
    *scripts: Script, tls: SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """
    Run a receiver that answers by *scripts* in their order, then by the last;
    it takes what it gets where there is none.
    """
    scripts = scripts or (say(TAKEN),)
    got = Receiver(scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        got.connections += 1
        try:
            got.posts.append(await _read(reader))
            at = min(len(got.posts), len(scripts)) - 1
            await scripts[at](writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # who sent has gone, or the test is over
        finally:
            tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    got.port = server.sockets[0].getsockname()[1]
    try:
        yield got
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Post:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *rest = head.strip().split("\r\n")
    pairs = (each.split(": ", 1) for each in rest)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers["content-length"]))
    return Post(line, headers, body)
