"""
Metrics of tenants: where they stand, how their platforms do, what was decided.
"""

from __future__ import annotations

import json

from typing import TYPE_CHECKING, Any, Final

from thim.http.metric_rows import counters, gauge, gauges
from thim.http.tallies import VERDICTS
from thim.services.number_watch import NEW_NUMBER
from thim.services.tenant_states import list_states
from thim.store.decision_file import find_decisions
from thim.store.decision_view import DecisionView
from thim.store.notice_view import NoticeView
from thim.store.outlook_view import OutlookView


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from thim.http.metric_rows import Row
    from thim.http.scrape import Scrape, StoreScrape

_MOST_NOTICES: Final = 200


def tenant_metrics(scrape: StoreScrape) -> Iterator[Metric]:
    """
    Make those of where tenants stand.
    """
    states = list_states(scrape.replica, scrape.now)
    found = [s for s in states if s.number is not None]
    yield gauges(
        "tenant_evaluation_number",
        "The TCB evaluation data number that answers a tenant.",
        ["tenant", "baseline"],
        (([s.tenant, s.baseline], s.number or 0) for s in found),
    )
    yield gauges(
        "tenant_number_signed",
        "Whether the vendor still signs it.",
        ["tenant", "baseline"],
        (([s.tenant, s.baseline], s.is_signing) for s in found),
    )
    view = OutlookView(scrape.replica)
    outlooks = {t: json.loads(body) for t, body in view.bodies().items()}
    yield from _fleet_metrics(outlooks)
    taken = view.taken()
    yield gauge(
        "fleet_outlook_timestamp_seconds",
        "When that was worked out.",
        None if taken is None else taken.timestamp(),
    )


def _fleet_metrics(outlooks: Mapping[str, Any]) -> Iterator[Metric]:
    yield gauges(
        "fleet_platforms",
        "A tenant's platforms by how they stand under its number.",
        ["tenant", "tee", "standing"],
        (
            ([tenant, each["tee"], each["standing"]], each["platforms"])
            for tenant, outlook in outlooks.items()
            for each in outlook["standings"]
        ),
    )
    yield gauges(
        "fleet_breaking",
        "Those that would break under the newest number that is signed.",
        ["tenant", "number"],
        (
            ([tenant, str(outlook["newest"])], outlook["breaking"])
            for tenant, outlook in outlooks.items()
            if "breaking" in outlook
        ),
    )


def notice_metrics(scrape: StoreScrape) -> Iterator[Metric]:
    """
    Make those of what was noticed, and who was told.
    """
    view = NoticeView(scrape.replica)
    yield gauges(
        "evaluation_number_noticed_timestamp_seconds",
        "When a TCB evaluation data number was first noticed.",
        ["number"],
        (
            ([notice.subject], notice.at.timestamp())
            for notice in view.recent(_MOST_NOTICES)
            if notice.kind == NEW_NUMBER
        ),
    )
    rows: list[Row] = []
    for hook, tally in view.tallies().items():
        rows.append(([hook, "delivered"], tally.delivered))
        rows.append(([hook, "waiting"], tally.waiting))
        rows.append(([hook, "given-up"], tally.given_up))
    yield gauges(
        "webhook_notices",
        "Notices for a webhook, by what became of them.",
        ["webhook", "state"],
        rows,
    )


def verdict_metrics(scrape: Scrape) -> Iterator[Metric]:
    """
    Make those of attestation.
    """
    yield counters(
        "attestation_verdicts",
        "Attestations of this node by what the TCB was worth, refused, or "
        "unavailable where that could not be said.",
        ["type", "status", "tenant"],
        scrape.counted(VERDICTS),
    )
    view = DecisionView(find_decisions(scrape.settings.store))
    yield counters(
        "attestations",
        "Attestations by what became of them: issued, or why there is no "
        "token.",
        ["type", "result"],
        view.tallies().items(),
    )
