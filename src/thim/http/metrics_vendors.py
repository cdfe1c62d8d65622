"""
Metrics of the vendors: when they answered, what, and how often they may be
asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thim.http.metric_rows import counters, gauge, gauges
from thim.http.tallies import ANSWERS, BUDGET, REFRESH_FAILED
from thim.store.watch import Watch
from thim.upstream.model import Request


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from thim.collateral.targets import AddressState
    from thim.http.metric_rows import Row
    from thim.http.scrape import Scrape, StoreScrape

_ADDRESS = ("vendor", "address")


def answer_metrics(scrape: Scrape) -> Iterator[Metric]:
    """
    Make those that workers count.
    """
    yield counters(
        "vendor_answers",
        "Answers of vendors to this node by status code, or the reason why "
        "there was none.",
        ["address", "code"],
        scrape.counted(ANSWERS),
    )
    yield counters(
        "vendor_budget_refusals",
        "Requests that this node did not send: the budget was spent, or the "
        "address is left alone.",
        ["address"],
        scrape.counted(BUDGET),
    )
    yield gauge(
        "refresh_failed",
        "Workers in whose last step refreshing went wrong.",
        scrape.sheet.gauges.get(REFRESH_FAILED, 0),
    )


def vendor_metrics(scrape: StoreScrape) -> Iterator[Metric]:
    """
    Make those that the store knows.
    """
    addresses = scrape.status.addresses
    vendors = _find_vendors(scrape)

    def label(address: AddressState) -> Sequence[str]:
        return vendors.get(address.address, ""), address.address

    yield gauges(
        "vendor_last_answer_timestamp_seconds",
        "When an address last answered as it should.",
        _ADDRESS,
        (
            (label(a), a.answered.timestamp())
            for a in addresses
            if a.answered is not None
        ),
    )
    yield counters(
        "vendor_requests",
        "Requests to each vendor address, by all nodes.",
        _ADDRESS,
        ((label(a), a.requests) for a in addresses),
    )
    yield gauges(
        "vendor_failures_in_a_row",
        "Failures of each vendor address since it last answered.",
        _ADDRESS,
        ((label(a), a.failures) for a in addresses),
    )
    yield gauges(
        "vendor_left_alone",
        "Whether an address is left alone, because it kept failing.",
        _ADDRESS,
        (
            (label(a), bool(a.closed_until and a.closed_until > scrape.now))
            for a in addresses
        ),
    )
    yield gauges(
        "vendor_budget_spent_seconds",
        "How far the budget of an address is spent ahead: at interval times "
        "burst nobody may ask.",
        _ADDRESS,
        (
            (label(a), max((a.free_at - scrape.now).total_seconds(), 0.0))
            for a in addresses
        ),
    )
    yield gauges(
        "vendor_clock_ahead_seconds",
        "By how much the clock of an address is ahead of ours.",
        _ADDRESS,
        (
            (label(a), a.clock_ahead)
            for a in addresses
            if a.clock_ahead is not None
        ),
    )
    yield gauges(
        "vendor_last_issue_timestamp_seconds",
        "When the vendor issued the newest document of a kind that we hold.",
        ("vendor", "kind"),
        _find_issues(scrape),
    )


def _find_vendors(scrape: StoreScrape) -> Mapping[str, str]:
    return {
        Request(url=url).address: upstream.vendor
        for upstream in scrape.settings.vendors.upstreams
        for url in (upstream.url, upstream.static_url)
    }


def _find_issues(scrape: StoreScrape) -> Sequence[Row]:
    newest: dict[tuple[str, str], float] = {}
    for head in Watch(scrape.replica).heads():
        kind = (head.key.vendor, head.key.kind.value)
        issued = head.issued.timestamp()
        newest[kind] = max(newest.get(kind, issued), issued)
    return list(newest.items())
