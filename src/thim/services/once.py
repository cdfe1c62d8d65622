"""
Ask the vendors once, now, for whoever waits for the result.
"""

from __future__ import annotations

import asyncio
import dataclasses

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.collateral.amd_keys import chip_of, is_vcek, product_of
from thim.collateral.freshness import (
    State,
    find_state,
    next_channel_look,
    next_look,
)
from thim.collateral.records import AMD, ROOT_CA_CRL, Kind
from thim.errors import ThimError
from thim.services.amd_door import AmdDoor
from thim.services.door import Door
from thim.services.outcome import Fetched, Outcome
from thim.services.promise import list_promises
from thim.services.together import fetch_together
from thim.upstream.asking import write_request
from thim.upstream.pcs import read_answer
from thim.upstream.status import OK
from thim.upstream.transport import Transport


if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Collection,
        Iterable,
        Sequence,
    )
    from datetime import datetime

    from thim.collateral.records import CollateralKey
    from thim.collateral.targets import Progress, Target
    from thim.services.side import VendorSide
    from thim.store.watch import Head
    from thim.upstream.model import Request, Response, Upstream

_ABREAST: Final = 4
#: What brings the chain that other documents are verified with.
_CHAINS: Final = frozenset({Kind.CERT_CHAIN, Kind.PCK_CRL})
_PATIENCE: Final = 60.0
_PAUSE: Final = 0.25


async def refresh_once(
    side: VendorSide, choose: Callable[[], Iterable[Target]]
) -> AsyncGenerator[tuple[Target, Fetched], None]:
    """
    Ask for what *choose* returns, and again for what it returns then, until
    that is nothing new: new numbers bring new documents.  What comes without
    its chain is asked for after it.

    A spent budget is waited for, for a minute at most.
    """
    seen: set[Target] = set()
    while wanted := [t for t in dict.fromkeys(choose()) if t not in seen]:
        seen.update(wanted)
        tasks = _start(side, wanted)
        try:
            for task in asyncio.as_completed(tasks):
                yield await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _start(
    side: VendorSide, wanted: Iterable[Target]
) -> Collection[asyncio.Task[tuple[Target, Fetched]]]:
    gate = asyncio.Semaphore(_ABREAST)
    tasks: dict[Target, asyncio.Task[tuple[Target, Fetched]]] = {}
    for target in sorted(wanted, key=lambda t: t.key.kind not in _CHAINS):
        first = [tasks[t] for t in tasks if _is_first(t.key, target.key)]
        work = _patiently(side, target, gate, first)
        tasks[target] = asyncio.create_task(work)
    return tasks.values()


def _is_first(brought: CollateralKey, key: CollateralKey) -> bool:
    """Tell whether *key*'s document comes without the chain of *brought*."""
    if key.kind in {Kind.CRL, Kind.VCEK}:
        is_chain = brought.kind is Kind.CERT_CHAIN
        return is_chain and product_of(brought) is product_of(key)
    return key == ROOT_CA_CRL and brought.kind is Kind.PCK_CRL


async def _patiently(
    side: VendorSide,
    target: Target,
    gate: asyncio.Semaphore,
    first: Collection[asyncio.Task[tuple[Target, Fetched]]],
) -> tuple[Target, Fetched]:
    loop = asyncio.get_running_loop()
    if first:
        await asyncio.wait(first)
    async with gate:
        until = loop.time() + _PATIENCE
        while True:
            fetched = await fetch_together(side, target)
            is_in_vain = loop.time() > until or not _is_soon(side, fetched)
            if fetched.outcome is not Outcome.NOT_NOW or is_in_vain:
                return target, fetched
            await asyncio.sleep(_PAUSE)


def _is_soon(side: VendorSide, fetched: Fetched) -> bool:
    until = fetched.until
    return until is not None and until - side.clock() < timedelta(
        seconds=_PATIENCE
    )


def choose_due(side: VendorSide) -> list[Target]:
    """
    List what is promised and missing, not fresh any more, or due by schedule.
    """
    now = side.clock()
    heads = {
        (h.key, h.number): h for h in side.watch.heads() if not h.is_revoked
    }
    progress = {p.target: p for p in side.watch.progress()}
    return [
        target
        for target in list_promises(side.replica, side.settings)
        if _is_due(
            target,
            heads.get((target.key, target.number)),
            progress.get(target),
            now,
        )
    ]


def _is_due(
    target: Target, head: Head | None, known: Progress | None, now: datetime
) -> bool:
    if known is None:
        return head is None or (
            find_state(head.issued, head.next_update, now) is not State.FRESH
        )
    if known.is_absent(now):
        return False
    if known.failures or known.answered is None:
        return True
    if target.update is not None:
        planned = next_channel_look(known.answered, 0)
    elif target.key.kind is Kind.FMSPCS:
        planned = next_look(Kind.FMSPCS, None, known.answered, 0)
    elif head is None:
        return True
    else:
        planned = _next_look(head, known.answered)
    if head is not None and _is_old(head, now):
        return True
    # Where no service keeps an agenda: as one would.
    return (known.due or planned) <= now


def _is_old(head: Head, now: datetime) -> bool:
    state = find_state(head.issued, head.next_update, now)
    return state in {State.STALE, State.EXPIRED}


def _next_look(head: Head, seen: datetime) -> datetime:
    return next_look(head.key.kind, head.next_update, seen, 0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """
    How one upstream answered one question.

    *problem* is None where the answer holds; *took* is how long it took.
    """

    upstream: Upstream
    target: Target
    took: timedelta
    problem: str | None


async def probe(
    side: VendorSide, upstream: Upstream, targets: Sequence[Target]
) -> AsyncIterator[Probe]:
    """
    Ask *upstream* for each of *targets* and verify what comes; nothing is
    kept.
    """
    transport = Transport(upstream)
    tasks = [
        asyncio.create_task(_probe(side, upstream, transport, request, target))
        for target in targets
        if (request := write_request(upstream, target)) is not None
    ]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        for each in tasks:
            each.cancel()
        await transport.close()


async def _probe(
    side: VendorSide,
    upstream: Upstream,
    transport: Transport,
    request: Request,
    target: Target,
) -> Probe:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    problem = await _find_problem(side, transport, request, target)
    return Probe(
        upstream=upstream,
        target=target,
        took=timedelta(seconds=loop.time() - begin),
        problem=problem,
    )


async def _find_problem(
    side: VendorSide, transport: Transport, request: Request, target: Target
) -> str | None:
    try:
        response = await transport.get(request, _freely)
        if response.status != OK:
            return f"status {response.status}"
        await side.fetcher.run(_verify, side, target, response)
    except ThimError as e:
        return f"{e.reason}: {e}"
    return None


async def _freely() -> None:
    """Permit an attempt: an operator's own hands need no budget."""


def _verify(side: VendorSide, target: Target, response: Response) -> None:
    if target.key.vendor == AMD:
        _verify_amd(side, target, response)
        return
    answer = read_answer(target, response)
    door = Door(side.ledger, side.clock())
    door.verify_unknown(answer.chain, answer.document, answer.source)


def _verify_amd(side: VendorSide, target: Target, response: Response) -> None:
    door, key = AmdDoor(side.ledger, side.clock()), target.key
    if is_vcek(target):
        door.verify_vcek(chip_of(key), response.body, response.url)
    else:
        door.verify_record(key, response.body, response.url)
