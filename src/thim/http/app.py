"""
The application: Starlette, its routes, and what lives as long as it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import random
import sys
import threading
import time

from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route, Router

from thim.http.admin import admin_routes
from thim.http.agents import agent_routes
from thim.http.amd_routes import amd_metadata_routes, amd_routes
from thim.http.attestation import attest_routes, signer_routes
from thim.http.attestation_admin import attestation_admin_routes
from thim.http.attestation_preview import attestation_preview_routes
from thim.http.attesting import fill_evidence, open_attestation
from thim.http.auth import Gate
from thim.http.console.guard import Console
from thim.http.console.routes import console_routes
from thim.http.door import Door
from thim.http.endpoints import (
    Prefixed,
    collateral_routes,
    metadata_routes,
)
from thim.http.front import Front
from thim.http.health import health_routes
from thim.http.measured import Measured
from thim.http.metrics import metrics_routes
from thim.http.pccs import Pccs, policy_routes
from thim.http.service import Service
from thim.http.unrouted import Unrouted, refuse_internally
from thim.http.workers import share
from thim.services.clock import FileClock, utc_now
from thim.services.erasing import Eraser
from thim.services.judged_apart import find_outlooks, judge_number
from thim.services.node import NodeSettings, follow_ledger
from thim.services.watchman import Post, watch
from thim.store.lock import sharing


if TYPE_CHECKING:
    import datetime

    from collections.abc import AsyncIterator, Callable, Coroutine

    from thim.http.settings import HttpSettings

#: Seconds for which is waited for who follows the ledger.
_FAREWELL: Final = 5.0
#: Seconds for which the event loop waits for a thread that computes.
_SWITCH: Final = 0.0005


def create_app(
    settings: HttpSettings,
    clock: Callable[[], datetime.datetime] | None = None,
) -> Starlette:
    """
    Make the application; it opens the store when it is started.

    *clock* returns the current instant, if not the setting or the machine is
    to say it.
    """
    clock = clock or _find_clock(settings)
    pccs = Pccs()
    is_counted = settings.rates.collateral is not None

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with contextlib.AsyncExitStack() as stack:
            # While it runs nobody puts another store in the place of this one.
            stack.enter_context(sharing(settings.store))
            service = Service(settings, clock)
            stack.callback(service.close)
            _follow_ledger(stack, service)
            await _run(stack, service.upkeep.follow())
            await _run(stack, service.note())
            door = Door(settings.door, settings.limits)
            await _run(stack, door.follow())
            await _run(stack, share(service.workers, service.tallies))
            gate = Gate(service)
            await _run(stack, gate.follow())
            await _run(stack, watch(_make_post(service)))
            await _run(stack, _make_eraser(settings).follow(clock))
            attestation = await open_attestation(stack, service, _run)
            attestation.attest.tell = service.tallies.count_verdict
            if settings.vendors.is_on:
                await _face_vendors(stack, service)
            if service.filler is not None:
                fill_evidence(attestation, service.filler)
            if settings.webhooks:
                await _tell_webhooks(stack, service)
            stack.push_async_callback(pccs.close)
            yield {
                "service": service,
                "gate": gate,
                "console": Console(service, gate),
                "attestation": attestation,
                "door": door,
                # Each request is counted where there is a limit to them.
                "memo": None if is_counted else service.memo,
                "pck": None if is_counted else service.pck_desk,
                "limits": settings.limits,
                "now": _to_seconds(clock),
                "tallies": service.tallies,
            }

    collateral = [*collateral_routes(), *amd_routes()]
    attestation_paths = [
        *signer_routes(),
        *attestation_admin_routes(),
        *attestation_preview_routes(),
    ]
    # First come those that are asked so often that looking for them counts.
    attest = attest_routes()
    selected = [*attest, *collateral, *policy_routes(), *attestation_paths]
    prefixed = Prefixed(Router(selected, redirect_slashes=False))
    app = Starlette(
        routes=[
            *attest,
            *health_routes(),
            *metrics_routes(),
            *admin_routes(),
            *console_routes(),
            *agent_routes(),
            *pccs.routes(),
            *metadata_routes(),
            *amd_metadata_routes(),
            *collateral,
            *attestation_paths,
            *(
                Route(f"/{name}/{{rest:path}}", prefixed)
                for name in ("tenant", "baseline", "at")
            ),
        ],
        lifespan=lifespan,
        exception_handlers={
            HTTPException: Unrouted(selected),
            Exception: refuse_internally,
        },
    )
    if settings.door.admin is not None or settings.rates.is_any:
        app.add_middleware(Front, rates=settings.rates, clock=clock)
    app.add_middleware(Measured)
    app.router.redirect_slashes = False  # Azure's client follows none
    return app


def _find_clock(settings: HttpSettings) -> Callable[[], datetime.datetime]:
    if settings.dangerous_clock is None:
        return utc_now
    return FileClock(settings.dangerous_clock)


def _to_seconds(
    clock: Callable[[], datetime.datetime],
) -> Callable[[], float]:
    # The same, but a remembered answer takes no longer than this.
    return time.time if clock is utc_now else lambda: clock().timestamp()


async def _run(
    stack: contextlib.AsyncExitStack, work: Coroutine[Any, Any, None]
) -> None:
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


def _follow_ledger(stack: contextlib.AsyncExitStack, service: Service) -> None:
    settings = service.settings
    if settings.ledger is None:
        return
    node = NodeSettings(
        name=settings.node_name,
        version=metadata.version("thim"),
        store=settings.store,
        address=settings.ledger,
    )
    ended = threading.Event()
    thread = threading.Thread(
        target=follow_ledger,
        args=(node, service.clock, ended),
        name="ledger",
        daemon=True,
    )
    thread.start()

    async def end() -> None:
        ended.set()
        await asyncio.to_thread(thread.join, _FAREWELL)

    stack.push_async_callback(end)


def _make_eraser(settings: HttpSettings) -> Eraser:
    return Eraser(
        store=settings.store,
        anchors=settings.anchors,
        retention=settings.retention,
    )


def _make_post(service: Service) -> Post:
    settings = service.settings
    return Post(
        store=settings.store,
        anchors=settings.anchors,
        hooks=tuple(hook.name for hook in settings.webhooks),
        clock=service.clock,
        draw=random.random,
        judge_number=judge_number,
        find_outlooks=find_outlooks,
    )


async def _face_vendors(
    stack: contextlib.AsyncExitStack, service: Service
) -> None:
    # Only here, so that a service that asks nobody need not carry it all.
    from thim.services.fill import Filler  # noqa: PLC0415
    from thim.services.refresh import Refresher  # noqa: PLC0415
    from thim.services.side import facing_vendors  # noqa: PLC0415

    settings = service.settings
    side = await stack.enter_async_context(
        facing_vendors(
            settings.store, settings.anchors, settings.vendors, service.clock
        )
    )
    side.fetcher.tell = service.tallies.count_answer
    service.filler = Filler(side)
    service.want_platform = service.filler.fetch_platform
    stack.push_async_callback(service.filler.close)
    refresher = Refresher(side)
    await refresher.begin()
    service.find_trouble = lambda: refresher.trouble
    await _run(stack, refresher.follow())


async def _tell_webhooks(
    stack: contextlib.AsyncExitStack, service: Service
) -> None:
    from thim.services.hooks import Courier  # noqa: PLC0415 - as above

    settings = service.settings
    courier = Courier(
        settings.webhooks, settings.store, settings.anchors, service.clock
    )
    await _run(stack, courier.follow())


#: Objects more than before, at which garbage is looked for: some megabytes.
_MOST_NEW: Final = 20_000


@dataclasses.dataclass(frozen=True, slots=True)
class AppFactory:
    """
    Makes the application in each worker; can be sent to one.
    """

    settings: HttpSettings

    def __call__(self) -> Starlette:
        """
        Make the application.
        """
        # What other threads are at is not to hold up the event loop.
        sys.setswitchinterval(_SWITCH)
        app = create_app(self.settings)
        _collect_seldom()
        return app


def _collect_seldom() -> None:
    """
    Look for garbage less often than Python does on its own, and not at all in
    what is loaded by now: requests that wait together look like garbage that
    piles up, and most leave none.
    """
    gc.freeze()
    gc.set_threshold(_MOST_NEW, 20, 100)
