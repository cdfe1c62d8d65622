"""
Ask the vendors now, for an administrator who waits for the result.
"""

from __future__ import annotations

import asyncio

from typing import TYPE_CHECKING, Final

from thim.collateral.platforms import RegisteredBy
from thim.errors import NotFoundError, OperatorError, ThimError, UpstreamError
from thim.services.once import refresh_once
from thim.services.outcome import Outcome
from thim.services.promise import list_promises
from thim.services.side import facing_vendors


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.collateral.platforms import PlatformId
    from thim.services.vendors import VendorSettings
    from thim.store.pck import PckReader
    from thim.x509.chain import TrustAnchors

#: So many platforms are asked for at once.
_ABREAST: Final = 8
#: So many failures are named.
_NAMED: Final = 5
_WELL: Final = frozenset({Outcome.TAKEN, Outcome.ABSENT})


async def refresh_collateral(
    store: Path,
    anchors: TrustAnchors,
    settings: VendorSettings,
    clock: Callable[[], datetime],
) -> str:
    """
    Ask for every document that is promised; return what came of it.

    Each one is kept as it comes, whatever becomes of the others.

    Raises:
        UpstreamError: Some could not be had; the message names them.
    """
    asked, failed = 0, []
    async with facing_vendors(store, anchors, settings, clock) as side:
        await side.begin_anew()
        async for target, fetched in refresh_once(
            side, lambda: list_promises(side.replica, side.settings)
        ):
            asked += 1
            if fetched.outcome not in _WELL:
                failed.append(f"{target} ({fetched.reason})")
    if failed:
        raise _failure(asked, "documents", failed)
    return f"{asked} documents"


def list_askable(
    reader: PckReader, fmspcs: frozenset[bytes]
) -> list[PlatformId]:
    """
    List the platforms of *fmspcs*, all if there are none, that a vendor can
    be asked about.
    """
    return [
        platform.id
        for platform in reader.platforms()
        if platform.registered_by is not RegisteredBy.CERTIFICATES
        and platform.retired is None
        and (not fmspcs or platform.fmspc in fmspcs)
    ]


async def refresh_certificates(
    platforms: Sequence[PlatformId],
    want: Callable[[PlatformId], Awaitable[None]],
) -> str:
    """
    Have the PCK certificates of *platforms* asked for; return what came of it.

    Raises:
        NotFoundError: The vendor has certificates of none of them.
        UpstreamError: Some could not be had.
    """
    gate = asyncio.Semaphore(_ABREAST)

    async def ask(platform: PlatformId) -> ThimError | None:
        async with gate:
            try:
                await want(platform)
            except OperatorError:
                raise
            except ThimError as e:
                return e
        return None

    found = await asyncio.gather(*map(ask, platforms))
    failed = {
        platform: error
        for platform, error in zip(platforms, found, strict=True)
        if error is not None
    }
    # That the vendor has none for one of many is no failure.
    serious = {
        platform: error
        for platform, error in failed.items()
        if not isinstance(error, NotFoundError)
    }
    if serious or (failed and len(failed) == len(platforms)):
        named = serious or failed
        names = [f"{p} ({error.reason})" for p, error in named.items()]
        failure = _failure(len(platforms), "platforms", names)
        if serious:
            raise failure
        raise NotFoundError(str(failure), reason="vendor-has-none")
    return f"{len(platforms) - len(failed)} platforms"


def _failure(asked: int, what: str, failed: Sequence[str]) -> UpstreamError:
    named = ", ".join(sorted(failed)[:_NAMED])
    msg = f"{len(failed)} of {asked} {what} could not be had: {named}"
    return UpstreamError(msg, reason="refresh-incomplete")
