"""
Have VCEKs fetched before anybody asks for them.

They are put at the head of the queue that all processes share, so whoever is
interrupted loses nothing: what has come is there, and the rest is waiting.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import (
    amd_crl_key,
    cert_chain_key,
    vcek_target,
)
from thim.collateral.freshness import is_expired
from thim.collateral.targets import Target
from thim.services.chips import Chips
from thim.services.outcome import Outcome
from thim.store.endorsement_view import EndorsementView
from thim.upstream.model import Request


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime

    from thim.amd.kds import ChipTcb
    from thim.collateral.targets import AddressState
    from thim.services.outcome import Fetched
    from thim.services.side import VendorSide

_TICK: Final = 0.1
#: So many failures in a row are a server that does not answer, but for those
#: that say when to come again.
_SILENT: Final = 3
_BUSY: Final = "vendor-busy"
#: So many are looked at in one tick.
_LOOKED_AT: Final = 64


class State(enum.Enum):
    """What became of a VCEK that was to be fetched."""

    HELD = "held"
    TAKEN = "taken"
    ABSENT = "absent"
    FAILED = "failed"
    WAITING = "waiting"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prefetched:
    """
    What became of one: HELD before, TAKEN now, ABSENT at the vendor's, FAILED
    for a *reason*; the last is tried again by whoever runs.
    """

    name: ChipTcb
    state: State
    reason: str | None = None
    detail: str | None = None


async def enqueue(
    side: VendorSide, names: Iterable[ChipTcb]
) -> tuple[list[ChipTcb], list[ChipTcb]]:
    """
    Put those of *names* into the queue that are not there yet, or expired;
    return them, and those that are there.
    """
    every = list(dict.fromkeys(names))
    held = [name for name in every if _is_held(side, name)]
    is_held = set(held)
    wanted = [name for name in every if name not in is_held]
    await side.fetcher.run(side.ledger.chips.add_first, wanted, side.clock())
    return wanted, held


def _is_held(side: VendorSide, name: ChipTcb) -> bool:
    held = EndorsementView(side.replica).find_vcek(name)
    return held is not None and not is_expired(held.not_after, side.clock())


async def work_off(
    side: VendorSide, wanted: Sequence[ChipTcb]
) -> AsyncIterator[Prefetched]:
    """
    Ask for all that is *wanted*, and yield each as it comes, or as it turns
    out that it will not come now.

    The budget is the one that a running service spends too; whichever of the
    two asks, it comes here.  Where AMD's server does not answer, nobody waits
    for it: what is left stays in the queue, and is yielded as failed.
    """
    begun = side.clock()
    await _fetch_chains(side, wanted)
    chips = Chips(side)
    waiting = list(wanted)
    try:
        while waiting:
            if error := chips.start():
                raise error
            await asyncio.sleep(_TICK)
            for name in waiting[:_LOOKED_AT]:
                if (found := _find_result(side, name, begun)) is not None:
                    waiting.remove(name)
                    yield found
            if trouble := _find_trouble(side):
                for name in waiting:
                    yield Prefetched(
                        name=name,
                        state=State.FAILED,
                        reason=trouble.reason,
                        detail=trouble.detail,
                    )
                return
    finally:
        await chips.stop()


def _find_trouble(side: VendorSide) -> AddressState | None:
    """Find the server that does not answer, if there is no other."""
    now = side.clock()
    asked = {Request(url=u.url).address for u in side.settings.kds}
    states = [a for a in side.watch.addresses() if a.address in asked]
    silent = [a for a in states if _is_silent(a, now)]
    return silent[0] if silent and len(silent) == len(asked) else None


def _is_silent(address: AddressState, now: datetime) -> bool:
    until = address.closed_until
    is_closed = until is not None and until > now
    is_failing = address.failures >= _SILENT and address.reason != _BUSY
    return is_closed and is_failing


def estimate(side: VendorSide, waiting: int) -> timedelta:
    """
    Say how long it takes at least until so many have come.
    """
    intervals = [u.interval for u in side.settings.kds]
    return waiting * min(intervals, default=timedelta(0))


async def _fetch_chains(side: VendorSide, wanted: Iterable[ChipTcb]) -> None:
    # No VCEK holds without; a failure shows in the VCEKs.
    products = {name.product for name in wanted}
    for product in sorted(products, key=lambda p: p.value):
        for key in (
            cert_chain_key(KeyKind.VCEK, product),
            amd_crl_key(KeyKind.VCEK, product),
        ):
            if side.replica.find(key) is None:
                await _fetch(side, Target(key=key))


async def _fetch(side: VendorSide, target: Target) -> Fetched:
    while True:
        fetched = await side.fetcher.fetch(target, is_refresh=False)
        if fetched.outcome is not Outcome.NOT_NOW:
            return fetched
        await asyncio.sleep(_TICK)


def _find_result(
    side: VendorSide, name: ChipTcb, begun: datetime
) -> Prefetched | None:
    progress = side.watch.find(vcek_target(name))
    now = side.clock()
    if progress is None or progress.due is None:
        if _is_held(side, name):
            return Prefetched(name=name, state=State.TAKEN)
        is_absent = progress is not None and progress.is_absent(now)
        return Prefetched(
            name=name,
            state=State.ABSENT if is_absent else State.FAILED,
            reason=progress.reason if progress else None,
            detail=progress.detail if progress else None,
        )
    # None holds without a chain, so none is asked for until there is one.
    key = cert_chain_key(KeyKind.VCEK, name.product)
    if side.replica.find(key) is None:
        progress = side.watch.find(Target(key=key))
        is_missing = progress is not None and not progress.is_leased(now)
    else:
        is_missing = progress.failures > 0
    tried = progress.attempted if progress else None
    if progress and is_missing and tried is not None and tried >= begun:
        return Prefetched(
            name=name,
            state=State.FAILED,
            reason=progress.reason or "no-issuer-chain",
            detail=progress.detail,
        )
    return None
