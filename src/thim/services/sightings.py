"""
Who asked for PCK certificates: noted in memory, written down now and then.

Nobody waits for it, and at high rates only some are noted: *last seen* is for
people who look for machines that are gone.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging

from typing import TYPE_CHECKING, Final

from thim.collateral.targets import pck_target
from thim.errors import OperatorError
from thim.store.numbers import PLACES


if TYPE_CHECKING:
    from pathlib import Path

    from thim.collateral.platforms import PlatformId
    from thim.intel.pck import PckTcbm
    from thim.x509.chain import TrustAnchors

_log: Final = logging.getLogger("thim.platforms")

#: So many are noted between two times that they are written down.
MOST_SEEN: Final = 5_000
MOST_STRANGERS: Final = 500
MOST_RAW_TCBS: Final = 100
#: Anybody can ask with any raw TCB: a vendor is asked no more often for it.
_REST: Final = datetime.timedelta(days=1)


@dataclasses.dataclass(slots=True)
class Sightings:
    """
    What one process has noted.

    *seen* are certificates' numbers, of platforms that were answered;
    *raw_tcbs* new ones of platforms, by their numbers; *strangers* how often
    somebody unknown has asked.
    """

    seen: dict[int, None] = dataclasses.field(default_factory=dict)
    raw_tcbs: dict[int, PckTcbm] = dataclasses.field(default_factory=dict)
    strangers: dict[PlatformId, int] = dataclasses.field(default_factory=dict)

    def note_raw_tcb(self, certificate: int, raw_tcb: PckTcbm) -> None:
        """
        Note that the platform of a *certificate* asked at a raw TCB for which
        nothing had been selected.
        """
        if len(self.raw_tcbs) < MOST_RAW_TCBS:
            self.raw_tcbs[certificate // PLACES] = raw_tcb

    def note_stranger(self, platform: PlatformId) -> None:
        """
        Note that somebody unknown has asked.
        """
        if platform in self.strangers or len(self.strangers) < MOST_STRANGERS:
            self.strangers[platform] = self.strangers.get(platform, 0) + 1

    def take(self) -> Sightings:
        """
        Return what was noted, and begin anew.
        """
        taken = Sightings(self.seen, self.raw_tcbs, self.strangers)
        self.seen, self.raw_tcbs, self.strangers = {}, {}, {}
        return taken

    def __bool__(self) -> bool:
        return bool(self.seen or self.raw_tcbs or self.strangers)


def write_down(
    sightings: Sightings,
    store: Path,
    anchors: TrustAnchors,
    now: datetime.datetime,
) -> None:
    """
    Write *sightings* into the *store*, as of *now*; where that cannot be
    written they are lost.
    """
    # Only now: a service that nobody asks need not carry it all.
    from thim.store.ledger import Ledger  # noqa: PLC0415

    rows = {number // PLACES: now for number in sightings.seen}
    try:
        with Ledger(store, anchors) as ledger:
            moved = ledger.platforms.note_seen(rows, sightings.raw_tcbs)
            # The vendor may have a certificate for it by now.
            targets = [pck_target(platform) for platform in moved]
            ledger.agenda.advance(targets, now, _REST)
            ledger.strangers.note(sightings.strangers, now)
            ledger.checkpoint()
    except OperatorError as e:
        _log.info("who asked for PCK certificates is not written down: %s", e)
