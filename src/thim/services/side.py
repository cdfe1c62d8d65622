"""
The side of a process that faces the vendors: what its parts share.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import secrets

from typing import TYPE_CHECKING, Final

from thim.collateral.records import AMD, INTEL
from thim.services.fetch import Fetcher
from thim.store.ledger import Ledger
from thim.store.node_state import StateReader
from thim.store.replica import Replica
from thim.store.watch import Watch


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime
    from pathlib import Path

    from thim.services.vendors import VendorSettings
    from thim.x509.chain import TrustAnchors

#: Jitter needs no secrecy.
_ALL: Final = frozenset({INTEL, AMD})
_RANDOM: Final = random.Random()  # noqa: S311


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VendorSide:
    """
    The store as it is read and written, whom to ask, and when it is.

    Belongs to one event loop.  *draw* returns a number from 0 to 1, for
    jitter, *find_leads* the vendors whose documents this node refreshes.
    """

    replica: Replica
    watch: Watch
    ledger: Ledger
    fetcher: Fetcher
    settings: VendorSettings
    clock: Callable[[], datetime]
    draw: Callable[[], float]
    find_leads: Callable[[], frozenset[str]]

    async def begin_anew(self) -> None:
        """
        Ask at once for what had failed, and whoever was left alone: somebody
        has started a service or asks by hand, and may have mended it.
        """
        await self.fetcher.run(self.ledger.agenda.reopen, self.clock())


def _leads_finder(
    store: Path, settings: VendorSettings
) -> Callable[[], frozenset[str]]:
    if not settings.is_one_of_several:
        return lambda: _ALL
    reader = StateReader(store)

    def find() -> frozenset[str]:
        state = reader.read()
        is_well = state is not None and not state.is_away
        return frozenset(state.leads) if state and is_well else frozenset()

    return find


@contextlib.asynccontextmanager
async def facing_vendors(
    store: Path,
    anchors: TrustAnchors,
    settings: VendorSettings,
    clock: Callable[[], datetime],
    draw: Callable[[], float] = _RANDOM.random,
) -> AsyncIterator[VendorSide]:
    """
    Open *store* and the connections to the vendors.

    Raises:
        OperatorError: The store cannot be opened, or a setting cannot work.
    """
    with Ledger(store, anchors) as ledger:
        fetcher = Fetcher(
            ledger=ledger,
            upstreams=settings.upstreams,
            clock=clock,
            draw=draw,
            owner=f"{os.getpid()}-{secrets.token_hex(4)}",
            key_file=settings.key_file,
        )
        try:
            with contextlib.closing(Replica(store)) as replica:
                yield VendorSide(
                    replica=replica,
                    watch=Watch(replica),
                    ledger=ledger,
                    fetcher=fetcher,
                    settings=settings,
                    clock=clock,
                    draw=draw,
                    find_leads=_leads_finder(store, settings),
                )
        finally:
            await fetcher.close()
