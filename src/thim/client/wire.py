"""
The wire, blocking and not: bounded in time and bytes, no redirects, no cookies.

Each of the two does the same with the library's own client of its kind; what
is decided stands in functions that both call.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from typing import TYPE_CHECKING, Any, TypeVar

import httpx2

from thim.client.exchange import (
    ERRORS,
    NO_TIME_LEFT,
    Body,
    Deadline,
    FaultError,
    Last,
    attempts,
    blame,
    client_settings,
    limit,
    make_context,
    options,
    reading_proxies,
)
from thim.client.steps import Ask, Call, Outcome, Pause, Request, Source


if TYPE_CHECKING:
    import os

    from thim.client.exchange import OwnFiles
    from thim.client.steps import Steps

T = TypeVar("T")


class SyncWire:
    """
    Does what steps want done, and waits for it.

    Raises:
        OperatorError: The CA file, those in *own*, or a proxy that the
            environment names, cannot be used.
    """

    def __init__(
        self,
        ca_file: str | os.PathLike[str] | None,
        own: OwnFiles | None = None,
    ) -> None:
        context = make_context(ca_file, own)
        with reading_proxies():
            self._clients = {
                source: httpx2.Client(**client_settings(source, context))
                for source in Source
            }

    def close(self) -> None:
        """
        Close all connections.
        """
        for client in self._clients.values():
            client.close()

    def run(self, steps: Steps[T], seconds: float) -> T:
        """
        Go through *steps*, which may take so many *seconds*.
        """
        deadline = Deadline(seconds)
        sent: Any = None
        with contextlib.closing(steps):
            while True:
                try:
                    wish = steps.send(sent)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                sent = self._do(wish, deadline)

    def _do(self, wish: Ask | Pause | Call, deadline: Deadline) -> object:
        match wish:
            case Ask():
                return tuple(self._get(r, deadline) for r in wish.requests)
            case Pause():
                time.sleep(min(wish.seconds, deadline.left()))
                return None
            case Call():
                return wish.function()

    def _get(self, request: Request, deadline: Deadline) -> Outcome:
        with Last() as last:
            for attempt in attempts(request, deadline):
                with attempt:
                    return last.check(self._get_once(request, deadline))
        return last.outcome

    def _get_once(self, request: Request, deadline: Deadline) -> Outcome:
        seconds = limit(request, deadline)
        if not seconds:
            return NO_TIME_LEFT
        own = Deadline(seconds)
        try:
            with self._clients[request.source].stream(
                request.method, request.url, **options(request, seconds)
            ) as got:
                body = Body(got)
                for piece in got.iter_raw():
                    body.take(piece, own)
                return body.answer()
        except FaultError as e:
            return e.failure
        except ERRORS as e:
            return blame(e)


class AsyncWire:
    """
    Does what steps want done, on the running loop, questions at once.

    Raises:
        OperatorError: The CA file, those in *own*, or a proxy that the
            environment names, cannot be used.
    """

    def __init__(
        self,
        ca_file: str | os.PathLike[str] | None,
        own: OwnFiles | None = None,
    ) -> None:
        context = make_context(ca_file, own)
        with reading_proxies():
            self._clients = {
                source: httpx2.AsyncClient(**client_settings(source, context))
                for source in Source
            }

    async def close(self) -> None:
        """
        Close all connections.
        """
        for client in self._clients.values():
            await client.aclose()

    async def run(self, steps: Steps[T], seconds: float) -> T:
        """
        Go through *steps*, which may take so many *seconds*.
        """
        deadline = Deadline(seconds)
        sent: Any = None
        with contextlib.closing(steps):
            while True:
                try:
                    wish = steps.send(sent)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                sent = await self._do(wish, deadline)

    async def _do(self, wish: Ask | Pause | Call, deadline: Deadline) -> object:
        match wish:
            case Ask():
                asked = (self._get(r, deadline) for r in wish.requests)
                return tuple(await asyncio.gather(*asked))
            case Pause():
                await asyncio.sleep(min(wish.seconds, deadline.left()))
                return None
            case Call():
                return await asyncio.to_thread(wish.function)

    async def _get(self, request: Request, deadline: Deadline) -> Outcome:
        with Last() as last:
            async for attempt in attempts(request, deadline):
                with attempt:
                    return last.check(await self._get_once(request, deadline))
        return last.outcome

    async def _get_once(self, request: Request, deadline: Deadline) -> Outcome:
        seconds = limit(request, deadline)
        if not seconds:
            return NO_TIME_LEFT
        own = Deadline(seconds)
        try:
            async with (
                asyncio.timeout(seconds),
                self._clients[request.source].stream(
                    request.method, request.url, **options(request, seconds)
                ) as got,
            ):
                body = Body(got)
                async for piece in got.aiter_raw():
                    body.take(piece, own)
                return body.answer()
        except FaultError as e:
            return e.failure
        except ERRORS as e:
            return blame(e)
