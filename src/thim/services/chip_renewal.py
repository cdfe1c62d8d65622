"""
Have VCEKs fetched anew before they expire: AMD issues each for seven years, and
a newer one for the same key to whoever asks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.amd_keys import Rank, vcek_target
from thim.store.endorsement_view import EndorsementView


if TYPE_CHECKING:
    from datetime import datetime

    from thim.amd.kds import ChipTcb
    from thim.services.side import VendorSide

#: So long before the end; at so many each hour that is time for 40,000.
_AHEAD: Final = timedelta(days=30)
_PAUSE: Final = timedelta(hours=1)
#: A sixth of what AMD gives in that time: others are waiting, too.
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
        if looked is not None and now - _PAUSE < looked <= now:
            return
        self._looked = now
        found = self._view.expiring(now + _AHEAD, self._after, _MOST)
        self._after = found[-1][0] if len(found) == _MOST else (0, 0)
        names = [name for _, name in found if self._is_left(name, now)]
        if names and side.settings.kds:
            chips = side.ledger.chips
            await side.fetcher.run(chips.add_first, names, now, Rank.CHIP)

    def _is_left(self, name: ChipTcb, now: datetime) -> bool:
        """Tell whether nobody has asked for it just now, or is about to."""
        progress = self._side.watch.find(vcek_target(name))
        if progress is None:
            return True
        asked = progress.attempted
        is_tired = asked is not None and now - _REST < asked <= now
        return progress.due is None and not is_tired
