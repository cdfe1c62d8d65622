"""
Write a hundred decisions to a file, in small heaps.
"""

import asyncio
import sys

from pathlib import Path

from tests.store.decisions import decision
from thim.store.decision_log import DecisionLog


async def decide(path: Path, first: int) -> None:
    """
    Write those with the numbers from *first* on.
    """
    log = DecisionLog(path)
    for at in range(first, first + 100, 5):
        await asyncio.gather(*(log.add(decision(at + n)) for n in range(5)))
    await log.close()


if __name__ == "__main__":
    asyncio.run(decide(Path(sys.argv[1]), int(sys.argv[2])))
