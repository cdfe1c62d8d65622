"""
Metrics of several nodes, as this one sees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.collateral.records import AMD, INTEL
from thim.http.metric_rows import gauge, gauges
from thim.store.node_state import DAMAGED, REFUSED


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from prometheus_client.metrics_core import Metric

    from thim.http.scrape import Scrape
    from thim.store.node_state import NodeState

_VENDORS: Final = (INTEL, AMD)


def node_metrics(scrape: Scrape) -> Iterator[Metric]:
    """
    Make them; there are none where the store's file is the ledger itself.
    """
    if scrape.settings.ledger is None:
        return
    found = scrape.node
    yield gauge(
        "ledger_away",
        "Whether the ledger cannot be reached from this node.",
        # Of one that is damaged a concern tells.
        found is None or (found.is_away and found.reason != DAMAGED),
    )
    yield gauge(
        "ledger_refused",
        "Whether the ledger is there, and does not let this node in.",
        found is not None and found.reason == REFUSED,
    )
    if found is not None:
        yield from _replica_metrics(found, scrape.now)
        yield from _neighbour_metrics(found)


def _replica_metrics(found: NodeState, now: datetime) -> Iterator[Metric]:
    yield gauge(
        "replica_lag_seconds",
        "How old what this node serves may be.",
        find_lag(found, now),
    )
    yield gauge(
        "replica_position",
        "How far this node has followed the ledger.",
        found.position,
    )
    yield gauge(
        "ledger_position",
        "How far the ledger was when this node last looked.",
        found.ledger_position,
    )
    yield gauge(
        "replica_diverges",
        "Whether this node holds something else than the ledger.",
        found.differs,
    )


def find_lag(found: NodeState, now: datetime) -> float | None:
    """
    Find how old at *now*, in seconds, may be what a node serves; None where
    it has not followed yet.
    """
    if not found.is_away and found.position >= found.ledger_position:
        return 0.0
    if found.followed is None:
        return None
    return max((now - found.followed).total_seconds(), 0.0)


def _neighbour_metrics(found: NodeState) -> Iterator[Metric]:
    yield gauges(
        "node_leads",
        "Whether this node is the one that asks a vendor.",
        ["vendor"],
        (([vendor], vendor in found.leads) for vendor in _VENDORS),
    )
    yield gauges(
        "node_seen_timestamp_seconds",
        "When a node last told of itself.",
        ["node", "version"],
        (([n.name, n.version], n.seen.timestamp()) for n in found.nodes),
    )
    yield gauges(
        "node_diverges",
        "Whether a node holds other documents than this one, at the same "
        "position.",
        ["node"],
        (([n.name], n.digest_differs) for n in found.nodes),
    )
