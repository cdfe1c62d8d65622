"""
Have VCEKs fetched anew before they expire: AMD issues each for seven years, and
a newer one for the same key to whoever asks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.amd_keys import vcek_target
from thim.store.endorsement_view import EndorsementView


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from thim.amd.kds import ChipTcb
    from thim.services.side import VendorSide

_AHEAD: Final = timedelta(days=30)
#: So many wait at once: what AMD gives in a pause, if nobody asks for more.
_PAUSE: Final = timedelta(minutes=10)
_MOST: Final = 60
#: What was asked for in vain is left alone for so long.
_REST: Final = timedelta(days=1)


class ChipRenewal:
    """
    Puts what expires soon into the queue, a few at a time.
    """

    def __init__(self, side: VendorSide) -> None:
        self._side = side
        self._view = EndorsementView(side.replica)
        self._looked: datetime | None = None
        #: Behind which row the next look begins.
        self._after = (0, 0)

    async def look(self) -> None:
        """
        Put some into the queue, if the last time is a while ago.
        """
        side = self._side
        now, looked = side.clock(), self._looked
        # Not longer than it can have been meant, or a clock that is set back
        # would stop it.
        is_rest = looked is not None and now - _PAUSE < looked <= now
        if is_rest or not side.settings.kds:
            return
        self._looked = now
        found = self._view.expiring(now + _AHEAD, self._after, _MOST)
        names = [n for _, n in found if n is not None and self._is_left(n, now)]
        if await self._add(names, now) == len(names):
            self._after = found[-1][0] if len(found) == _MOST else (0, 0)

    async def _add(self, names: Sequence[ChipTcb], now: datetime) -> int:
        add = self._side.ledger.chips.add_last
        if not names:
            return 0
        return await self._side.fetcher.run(add, names, now, _MOST)

    def _is_left(self, name: ChipTcb, now: datetime) -> bool:
        """Tell whether nobody has asked for it just now, or is about to."""
        progress = self._side.watch.find(vcek_target(name))
        if progress is None:
            return True
        asked = progress.attempted
        is_tired = asked is not None and now - _REST < asked <= now
        return progress.due is None and not is_tired
