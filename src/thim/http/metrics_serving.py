"""
Metrics of serving: who asks for what, how fast it is answered, and what the
workers take.
"""

from __future__ import annotations

import collections
import importlib.metadata

from typing import TYPE_CHECKING, Final

from prometheus_client import ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from thim.http.metric_rows import counters, gauge, gauges
from thim.http.tallies import (
    BOUNDS,
    BUCKET,
    MEMO_BYTES,
    MEMO_ENTRIES,
    MEMO_HITS,
    MEMO_MISSES,
    MICROSECONDS,
    PCK_HITS,
    REQUESTS,
    STARTS,
)


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thim.http.scrape import Scrape

_MILLION: Final = 1_000_000
_VERSION: Final = importlib.metadata.version("thim")


def serving_metrics(scrape: Scrape) -> Iterator[Metric]:
    """
    Make them.
    """
    yield gauges(
        "build_info",
        "1, and which version this is.",
        ["version"],
        [([_VERSION], 1)],
    )
    yield counters(
        "requests",
        "Requests by family, tenant and class of status; those that are "
        "answered from memory included.",
        ["family", "tenant", "code"],
        scrape.counted(REQUESTS),
    )
    yield _latency(scrape)
    yield from _memo_metrics(scrape)
    yield gauge("workers", "Workers of this node.", len(scrape.pids))
    yield counters(
        "worker_starts",
        "Workers that were started since the service was.",
        [],
        [([], scrape.total(STARTS))],
    )
    yield from _process_metrics(scrape.pids)


def _memo_metrics(scrape: Scrape) -> Iterator[Metric]:
    for name, text, key in (
        ("memo_hits", "Requests that the memo answered.", MEMO_HITS),
        ("memo_misses", "Those that it can answer from then on.", MEMO_MISSES),
        (
            "pck_fast_answers",
            "Requests for PCK certificates that one read answered.",
            PCK_HITS,
        ),
    ):
        yield counters(name, text, [], [([], scrape.total(key))])
    found = scrape.sheet.gauges
    size, entries = found.get(MEMO_BYTES, 0), found.get(MEMO_ENTRIES, 0)
    yield gauge("memo_bytes", "What the memos of all workers take.", size)
    yield gauge("memo_entries", "Answers that they hold.", entries)


def _latency(scrape: Scrape) -> Metric:
    family = HistogramMetricFamily(
        "thim_request_seconds",
        "How long requests took; not those that are answered from memory, "
        "which take microseconds.",
        labels=["family"],
    )
    sums = {labels[0]: n for labels, n in scrape.counted(MICROSECONDS)}
    places: dict[str, collections.Counter[int]] = {}
    for (name, place), count in scrape.counted(BUCKET):
        places.setdefault(name, collections.Counter())[int(place)] += count
    for name, counted in sorted(places.items()):
        seconds = sums.get(name, 0) / _MILLION
        family.add_metric([name], _pile_up(counted), seconds)
    return family


def _pile_up(counted: collections.Counter[int]) -> list[tuple[str, float]]:
    names = [*map(str, BOUNDS), "+Inf"]
    total = 0.0
    piled = []
    for place, name in enumerate(names):
        total += counted[place]
        piled.append((name, total))
    return piled


def _process_metrics(pids: Sequence[int]) -> Iterator[Metric]:
    merged: dict[str, Metric] = {}
    for pid in pids:
        for found in _describe(pid):
            known = merged.setdefault(
                found.name, Metric(found.name, found.documentation, found.type)
            )
            for sample in found.samples:
                labels = {**sample.labels, "pid": str(pid)}
                known.add_sample(sample.name, labels, sample.value)
    yield from merged.values()


def _describe(pid: int) -> Sequence[Metric]:
    collector = ProcessCollector(
        namespace="thim_worker", pid=lambda: pid, registry=None
    )
    return list(collector.collect())
