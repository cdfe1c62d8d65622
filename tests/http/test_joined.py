"""
Work that is done once for all who wait for it.
"""

import asyncio

import pytest

from thim.http.joined import Joined


class Work:
    """
    Takes until it is told to end; counts how often it was begun.
    """

    def __init__(self):
        self.begun = 0
        self.end = asyncio.Event()

    async def __call__(self):
        """
        Do it.
        """
        self.begun += 1
        await self.end.wait()
        return self.begun


async def _once():
    joined, work = Joined(), Work()
    waiting = [joined.wait("x", work, 5), joined.wait("x", work, 5)]
    task = asyncio.gather(*waiting)
    await asyncio.sleep(0)
    work.end.set()
    together = await task
    return together, await joined.wait("x", work, 5)


def test_once():
    """
    Who waits for the same gets the same; later it is done anew.
    """
    assert ([1, 1], 2) == asyncio.run(_once())


async def _goes_on():
    joined, work = Joined(), Work()
    with pytest.raises(TimeoutError):
        await joined.wait("x", work, 0)
    work.end.set()
    return await joined.wait("x", work, 5)


def test_goes_on():
    """
    It goes on when nobody waits any more, and whoever comes next joins it.
    """
    assert 1 == asyncio.run(_goes_on())


async def _fails():
    async def fail():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    joined = Joined()
    with pytest.raises(ZeroDivisionError):
        await joined.wait("x", fail, 5)
    await joined.close()


def test_fails():
    """
    Its failure is everybody's who waits.
    """
    asyncio.run(_fails())


async def _close():
    joined, work = Joined(), Work()
    with pytest.raises(TimeoutError):
        await joined.wait("x", work, 0)
    await joined.close()


def test_close():
    """
    What goes on is ended at the end.
    """
    asyncio.run(_close())
