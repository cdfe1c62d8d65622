"""
Keep the answers for platforms in step with the newest TCB infos.
"""

from __future__ import annotations

import asyncio
import logging

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import digest_floors
from thim.errors import ThimError
from thim.store.pck import PckReader


if TYPE_CHECKING:
    from thim.services.side import VendorSide
    from thim.store.replica import Replica

_log: Final = logging.getLogger("thim.platforms")


class Selecting:
    """
    Has answers selected anew in the background, one process at a time.
    """

    def __init__(self, side: VendorSide) -> None:
        self._side = side
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """
        Begin, if there is anything to do and it is not being done.
        """
        if self._task is not None and not self._task.done():
            return
        replica = self._side.replica
        if replica.remember("unselected", lambda: is_pending(replica)):
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """
        End what is going on; it is begun anew another time.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        run, selections = self._side.fetcher.run, self._side.ledger.selections
        try:
            for fmspc, floors in (await run(selections.pending)).items():
                after: int | None = 0
                while after is not None:
                    after = await run(selections.step, fmspc, floors, after)
        except ThimError as e:
            _log.warning("PCK certificates: not selected anew: %s", e)


def is_pending(replica: Replica) -> bool:
    """
    Tell whether some platform's answers are not selected by the newest TCB
    levels.
    """
    reader = PckReader(replica)
    selected = reader.selections()
    return any(
        digest_floors(newest) != selected.get(fmspc)
        for fmspc in map(bytes.fromhex, replica.platform_fmspcs())
        if (newest := reader.find_tcb_info(fmspc)) is not None
    )
