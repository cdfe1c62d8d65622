"""
``/metrics`` for Prometheus: how the service stands and what it does.

What is made from the store is the same whichever worker says it; what workers
count is added up over all of them.  A part that cannot be read is left out, and
named: who looks at it at night needs the others all the more.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging

from functools import partial
from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.routing import Route

from thim.errors import ThimError
from thim.http.finish import ReplyResponse
from thim.http.metric_rows import gauges
from thim.http.metrics_collateral import collateral_metrics, ending_metrics
from thim.http.metrics_keys import (
    certificate_metrics,
    disk_metrics,
    signing_key_metrics,
)
from thim.http.metrics_node import node_metrics
from thim.http.metrics_serving import serving_metrics
from thim.http.metrics_tenants import (
    notice_metrics,
    tenant_metrics,
    verdict_metrics,
)
from thim.http.metrics_vendors import answer_metrics, vendor_metrics
from thim.http.reply import Reply
from thim.http.scrape import Scrape, StoreScrape
from thim.store.expiry_view import ExpiryView
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

    from thim.http.service import Service
    from thim.services.status import Status

    Part: TypeAlias = tuple[str, Callable[[], Iterable[Metric]]]

_log: Final = logging.getLogger("thim.metrics")
#: For how long certificates that end are not counted again.
_COUNTED: Final = datetime.timedelta(minutes=10)
_PARTS: Final = (
    ("serving", serving_metrics),
    ("answers", answer_metrics),
    ("verdicts", verdict_metrics),
    ("certificates", certificate_metrics),
    ("disk", disk_metrics),
    ("nodes", node_metrics),
)
_STORE_PARTS: Final = (
    ("collateral", collateral_metrics),
    ("vendors", vendor_metrics),
    ("tenants", tenant_metrics),
    ("notices", notice_metrics),
    ("signing-keys", signing_key_metrics),
)


def metrics_routes() -> list[Route]:
    """
    Return ``/metrics``.
    """
    return [Route("/metrics", MetricsRoute().answer, methods=["GET"])]


class MetricsRoute:
    """
    Answers one scrape after the other, away from the event loop.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._endings: Sequence[Metric] = ()
        self._counted: datetime.datetime | None = None

    async def answer(self, request: Request) -> ReplyResponse:
        """
        Answer a scrape.
        """
        service: Service = request.state.service
        async with self._turn:
            body = await self._write(service)
        return ReplyResponse(
            Reply(
                status=200,
                headers=(
                    (b"content-type", CONTENT_TYPE_LATEST.encode("ascii")),
                    (b"cache-control", b"no-store"),
                ),
                body=body,
            )
        )

    async def _write(self, service: Service) -> bytes:
        sheet, workers = service.tallies.gather(), service.workers
        pids = [service.pid]
        if workers is not None:
            sheet = await asyncio.to_thread(workers.add_others, sheet)
            pids = workers.pids()
        scrape = Scrape(
            settings=service.settings,
            now=service.clock(),
            sheet=sheet,
            pids=pids,
            node=service.upkeep.node_state(),
        )
        status: Status | None = None
        with contextlib.suppress(ThimError):
            status = await service.status.read()
        return await asyncio.to_thread(self._render, scrape, status)

    def _render(self, scrape: Scrape, status: Status | None) -> bytes:
        parts: list[Part] = [(n, partial(make, scrape)) for n, make in _PARTS]
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(ThimError):
                replica = Replica(scrape.settings.store, is_running=True)
                stack.enter_context(contextlib.closing(replica))
                parts += self._of_store(scrape, status, replica)
            registry = CollectorRegistry()
            registry.register(_Collector(parts, is_readable=status is not None))
            return generate_latest(registry)

    def _of_store(
        self, scrape: Scrape, status: Status | None, replica: Replica
    ) -> Iterator[Part]:
        if status is None:
            return
        found = StoreScrape(
            settings=scrape.settings,
            now=scrape.now,
            sheet=scrape.sheet,
            pids=scrape.pids,
            replica=replica,
            status=status,
        )
        for name, make in _STORE_PARTS:
            yield name, partial(make, found)
        yield "endings", partial(self._count_endings, replica, scrape.now)

    def _count_endings(
        self, replica: Replica, now: datetime.datetime
    ) -> Iterator[Metric]:
        counted = self._counted
        if counted is None or not counted <= now < counted + _COUNTED:
            self._endings = list(ending_metrics(ExpiryView(replica), now))
            self._counted = now
        yield from self._endings


class _Collector(Collector):
    """Writes all metrics at once, when they are asked for."""

    def __init__(self, parts: Sequence[Part], *, is_readable: bool) -> None:
        self._parts = parts
        self._is_readable = is_readable

    def describe(self) -> list[Metric]:
        """
        Describe nothing, so that registering reads nothing.
        """
        return []

    def collect(self) -> Iterator[Metric]:
        """
        Read the metrics.
        """
        missing = [] if self._is_readable else ["store"]
        for name, make in self._parts:
            try:
                found = list(make())
            except ThimError as e:
                missing.append(name)
                _log.warning("/metrics has nothing about %s: %s", name, e)
            else:
                yield from found
        yield gauges(
            "scrape_missing",
            "Parts of this answer that could not be read.",
            ["part"],
            (([name], 1) for name in missing),
        )
