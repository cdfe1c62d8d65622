"""
From the answers of the simulated vendor to bytes on a connection, whole or
broken as they are meant to be.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from thim.simulate.answers import (
    MAX_BODY,
    Aborted,
    Answer,
    Endless,
    Request,
    Trickling,
    Truncated,
)


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_TRANSPORT: Final = "thim.transport"
_PIECE: Final = 64 * 1024
_BODILESS: Final = frozenset({"GET", "HEAD"})


class VendorProtocol(HttpToolsProtocol):
    """
    uvicorn's protocol, which lets the application close the connection.
    """

    def on_message_begin(self) -> None:
        """
        Put the connection beside the request.
        """
        super().on_message_begin()
        self.scope[_TRANSPORT] = self.transport  # type: ignore[typeddict-unknown-key]


class VendorApp:
    """
    The ASGI application: a function from requests to answers, on the wire.
    """

    def __init__(self, respond: Callable[[Request], Answer]) -> None:
        self._respond = respond

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """
        Answer one request.
        """
        try:
            body = await _read_body(scope["method"], receive)
        except ConnectionError:  # nobody waits for an answer
            return
        answer = self._respond(_read(scope, body))
        if answer.delay and await _is_gone_within(receive, answer.delay):
            return
        match answer.delivery:
            case Aborted():
                scope[_TRANSPORT].abort()
                await _gone(receive)
            case Truncated(size):
                await _start(send, answer, len(answer.body))
                await _send(send, answer.body[:size])
                scope[_TRANSPORT].close()
                await _gone(receive)
            case Trickling(interval):
                await _start(send, answer, None)
                await _trickle(receive, send, answer.body, interval)
            case Endless():
                await _start(send, answer, None)
                await _pour(send, answer.body, scope[_TRANSPORT])
                await _gone(receive)
            case _:
                await _start(send, answer, len(answer.body))
                await _send(send, answer.body, is_last=True)


async def _read_body(method: str, receive: Receive) -> bytes | None:
    body = b""
    while method not in _BODILESS:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message["body"]
        if len(body) > MAX_BODY:
            return None
        if not message["more_body"]:
            break
    return body


def _read(scope: MutableMapping[str, Any], body: bytes | None) -> Request:
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers={
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
        },
        body=body,
        client=scope["client"][0],
    )


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _is_gone_within(receive: Receive, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _gone(receive)
            return True
    return False


async def _start(send: Send, answer: Answer, length: int | None) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers
    ]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": headers,
        }
    )


async def _send(send: Send, body: bytes, *, is_last: bool = False) -> None:
    await send(
        {"type": "http.response.body", "body": body, "more_body": not is_last}
    )


async def _trickle(
    receive: Receive, send: Send, body: bytes, interval: float
) -> None:
    for byte in itertools.cycle(body or b"\0"):
        await _send(send, bytes([byte]))
        if await _is_gone_within(receive, interval):
            return


async def _pour(send: Send, body: bytes, transport: asyncio.Transport) -> None:
    unit = body or b"\0"
    piece = unit * (_PIECE // len(unit) + 1)
    while not transport.is_closing():
        await _send(send, piece)
        await asyncio.sleep(0)
