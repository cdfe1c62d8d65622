"""
Refreshing on demand: all collateral, or the PCK certificates of platforms.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging

from typing import TYPE_CHECKING, Final

from thim.errors import ParameterError, UpstreamError
from thim.http.pccs_calls import (
    OPERATOR,
    SUCCESS,
    Call,
    find_want,
    parse_fmspcs,
    say,
    writing,
)
from thim.http.reply import Reply
from thim.store.pck import PckReader
from thim.store.replica import Replica


if TYPE_CHECKING:
    from thim.collateral.platforms import PlatformId
    from thim.http.joined import Joined
    from thim.http.service import Service
    from thim.services.tokens import Principal

_log: Final = logging.getLogger("thim.http")
#: How long whoever refreshes waits for the vendors.
_PATIENCE: Final = 120.0


@dataclasses.dataclass(frozen=True, slots=True)
class Refreshing:
    """
    Refreshes; whoever asks for the same meanwhile waits for the same.
    """

    joined: Joined

    async def __call__(self, call: Call) -> Reply:
        """
        Ask the vendors, and answer when they have.
        """
        principal = call.require(OPERATOR)
        fmspcs = _refreshed(call)
        service = call.service
        if not service.settings.vendors.is_on:
            msg = "fill = offline: no vendor is ever asked"
            raise UpstreamError(msg, reason="offline")
        what = "all collateral" if fmspcs is None else _spell(fmspcs)
        await asyncio.to_thread(_note_refresh, call, principal, what)
        make = functools.partial(_refresh, service, fmspcs)
        try:
            done = await self.joined.wait(("refresh", fmspcs), make, _PATIENCE)
        except TimeoutError:
            msg = "the vendors are still being asked"
            raise UpstreamError(msg, reason="refresh-in-progress") from None
        _log.info("refresh of %s: %s", what, done)
        return say(SUCCESS)


def _refreshed(call: Call) -> frozenset[bytes] | None:
    """
    Return the FMSPCs whose certificates are to be refreshed, empty for all;
    None for collateral.
    """
    parameters = call.parameters
    kind = parameters.get("type", "")
    if not kind:
        return None
    if kind != "certs":
        raise ParameterError("type", kind, "expected certs")
    if "fmspc" not in parameters:
        expected = "expected FMSPCs, or nothing behind fmspc= for all"
        raise ParameterError("fmspc", "", expected)
    return parse_fmspcs("fmspc", parameters["fmspc"])


def _spell(fmspcs: frozenset[bytes]) -> str:
    names = ", ".join(sorted(fmspc.hex().upper() for fmspc in fmspcs))
    return f"PCK certificates of {names or 'all platforms'}"


def _note_refresh(call: Call, principal: Principal, what: str) -> None:
    service = call.service
    with writing(service) as ledger:
        ledger.events.add(
            "refresh", what, actor=str(principal), now=service.clock()
        )


async def _refresh(service: Service, fmspcs: frozenset[bytes] | None) -> str:
    from thim.services.hasten import (  # noqa: PLC0415 - loads SQLAlchemy
        refresh_certificates,
        refresh_collateral,
    )

    if fmspcs is None:
        settings = service.settings
        return await refresh_collateral(
            settings.store, settings.anchors, settings.vendors, service.clock
        )
    want = find_want(service)
    if want is None:
        msg = "this service asks no vendor for PCK certificates"
        raise UpstreamError(msg, reason="offline")
    platforms = await asyncio.to_thread(_list_askable, service, fmspcs)
    return await refresh_certificates(platforms, want)


def _list_askable(
    service: Service, fmspcs: frozenset[bytes]
) -> list[PlatformId]:
    from thim.services.hasten import list_askable  # noqa: PLC0415

    with contextlib.closing(Replica(service.settings.store)) as replica:
        return list_askable(PckReader(replica), fmspcs)
