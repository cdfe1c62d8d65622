"""
Work that is done once for all who wait for it, and goes on when nobody does.
"""

from __future__ import annotations

import asyncio

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Joined:
    """
    What is going on, by its key; lives on one event loop.
    """

    def __init__(self) -> None:
        self._tasks: dict[object, asyncio.Future[Any]] = {}

    async def close(self) -> None:
        """
        End what is going on.
        """
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait(
        self,
        key: object,
        make: Callable[[], Awaitable[Any]],
        seconds: float,
    ) -> Any:  # noqa: ANN401 - whatever it makes
        """
        Wait for what is going on under *key*, which *make* begins.

        Raises:
            TimeoutError: It takes more than *seconds*, and goes on.
        """
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.ensure_future(make())
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._end(key, done))
        async with asyncio.timeout(seconds):
            return await asyncio.shield(task)

    def _end(self, key: object, task: asyncio.Future[Any]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # it has been seen, also if nobody waits any more
