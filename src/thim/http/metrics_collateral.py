"""
Metrics of documents and certificates: what is held, and until when it is valid.
"""

from __future__ import annotations

import collections

from typing import TYPE_CHECKING, Final

from thim.http.metric_rows import counters, gauge, gauges
from thim.services.status import Level
from thim.store.expiry_view import ExpiryView
from thim.store.watch import Watch


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from prometheus_client.metrics_core import Metric

    from thim.collateral.chips import ChipCounts
    from thim.http.scrape import StoreScrape
    from thim.services.status import Status
    from thim.store.watch import Head

#: Documents that have metrics of their own.
MOST_DOCUMENTS: Final = 2000
#: Where there are more: of each kind those that expire first.
MOST_OF_A_KIND: Final = 100
_LABELS: Final = ("vendor", "kind", "subject", "structure", "number")


def collateral_metrics(scrape: StoreScrape) -> Iterator[Metric]:
    """
    Make them.
    """
    status = scrape.status
    yield from _status_metrics(status)
    yield from _document_metrics(status)
    yield from _platform_metrics(status)
    yield from _amd_metrics(status.amd)
    yield from _refusal_metrics(scrape)


def ending_metrics(view: ExpiryView, now: datetime) -> Iterator[Metric]:
    """
    Make those of certificates that there may be millions of.
    """
    for name, what, windows in (
        (
            "pck_certificates_by_end",
            "Current PCK certificates",
            view.pck_certificates(now),
        ),
        ("vceks_by_end", "VCEKs that are held", view.vceks(now)),
    ):
        yield gauges(
            name,
            f"{what} by when they end: expired, within 7, 30 or 90 days (in "
            "the first that fits), or later.",
            ["window"],
            (([window], count) for window, count in windows.items()),
        )


def _status_metrics(status: Status) -> Iterator[Metric]:
    autonomy = status.autonomy
    yield gauge(
        "autonomy_seconds",
        "How long all promised documents stay valid without any vendor.",
        None if autonomy is None else autonomy.total_seconds(),
    )
    yield gauges(
        "promised_documents",
        "Documents that are kept fresh, by state.",
        ["state"],
        (([state], count) for state, count in status.states.items()),
    )
    levels: dict[str, Level] = {}
    for concern in status.concerns:
        worst = max(levels.get(concern.reason, Level.WELL), concern.level)
        levels[concern.reason] = worst
    yield gauges(
        "concerns",
        "What an operator should look at, by reason; 1 soon, 2 now.",
        ["reason"],
        (([reason], level) for reason, level in levels.items()),
    )


def _document_metrics(status: Status) -> Iterator[Metric]:
    heads = choose_heads([p.head for p in status.promises if p.head])
    yield gauges(
        "document_next_update_timestamp_seconds",
        "Until when a document that is kept fresh is valid.",
        _LABELS,
        (
            (_label(head), head.next_update.timestamp())
            for head in heads
            if head.next_update is not None
        ),
    )
    yield gauges(
        "document_issued_timestamp_seconds",
        "When the vendor issued a document that is kept fresh.",
        _LABELS,
        ((_label(head), head.issued.timestamp()) for head in heads),
    )


def choose_heads(heads: Sequence[Head]) -> Sequence[Head]:
    """
    Choose which of *heads* have metrics of their own: all of them, or where
    they are too many those of each kind that expire first.
    """
    if len(heads) <= MOST_DOCUMENTS:
        return heads
    kinds = collections.defaultdict(list)
    for head in heads:
        kinds[head.key.vendor, head.key.kind].append(head)
    return [
        head
        for group in kinds.values()
        for head in sorted(group, key=_order)[:MOST_OF_A_KIND]
    ]


def _order(head: Head) -> tuple[bool, float]:
    last = head.next_update
    return last is None, last.timestamp() if last else 0.0


def _label(head: Head) -> tuple[str, ...]:
    key = head.key
    number = "" if head.number is None else str(head.number)
    return (
        key.vendor,
        key.kind.value,
        key.subject,
        str(key.structure),
        number,
    )


def _platform_metrics(status: Status) -> Iterator[Metric]:
    yield gauge("platforms", "Platforms that are known.", status.platforms)
    yield gauge(
        "platforms_without_certificates",
        "Platforms in service that have no PCK certificate yet.",
        status.bare_platforms,
    )
    yield gauge(
        "platforms_revoked",
        "Platforms with a current PCK certificate that is revoked.",
        status.revoked_platforms,
    )


def _amd_metrics(amd: ChipCounts) -> Iterator[Metric]:
    yield gauge(
        "chips", "AMD chips that are registered and in service.", amd.chips
    )
    yield gauge(
        "chips_confirmed", "Those that a report has confirmed.", amd.confirmed
    )
    yield gauge(
        "chips_without_vcek", "Those without the VCEK for their TCB.", amd.bare
    )
    yield gauge("vceks", "VCEKs that are held.", amd.vceks)
    yield gauge("vceks_waited_for", "VCEKs that are waited for.", amd.waiting)


def _refusal_metrics(scrape: StoreScrape) -> Iterator[Metric]:
    counted = Watch(scrape.replica).counters()
    for name, text in (
        ("refused", "Documents that were refused, by reason."),
        ("shortfall", "Genuine documents that were not what was asked for."),
    ):
        rows = [([c.label], c.count) for c in counted if c.name == name]
        yield counters(name, text, ["reason"], rows)
    yield gauge(
        "quarantined_documents",
        "What lies in quarantine, 2,000 at most.",
        ExpiryView(scrape.replica).quarantined(),
    )
