"""
``/metrics`` for Prometheus: how the service stands towards its vendors.

Everything comes from the store, so each worker says the same.
"""

from __future__ import annotations

import json

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from starlette.routing import Route

from thim.errors import OperatorError, UnavailableError
from thim.http.finish import ReplyResponse
from thim.http.problems import to_reply
from thim.http.reply import Reply
from thim.services.number_watch import NEW_NUMBER
from thim.services.status import Level
from thim.services.tenant_states import list_states
from thim.store.decision_file import find_decisions
from thim.store.decision_view import DecisionView
from thim.store.notice_view import NoticeView
from thim.store.outlook_view import OutlookView
from thim.store.watch import Watch


if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

    from thim.collateral.chips import ChipCounts
    from thim.http.service import Service
    from thim.services.status import Status

_HOUR = 3600
_MOST_NOTICES = 200


def metrics_routes() -> list[Route]:
    """
    Return ``/metrics``.
    """
    return [Route("/metrics", _metrics, methods=["GET"])]


async def _metrics(request: Request) -> ReplyResponse:
    registry = CollectorRegistry()
    try:
        service: Service = request.state.service
        registry.register(_Collector(service, await service.status()))
        body = generate_latest(registry)
    except UnavailableError as e:
        return ReplyResponse(to_reply(e))
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


class _Collector:
    """Writes all metrics at once, when they are asked for."""

    def __init__(self, service: Service, status: Status) -> None:
        self._service = service
        self._status = status

    def describe(self) -> list[Metric]:
        """
        Describe nothing, so that registering reads nothing.
        """
        return []

    def collect(self) -> Iterator[Metric]:
        """
        Read the metrics.
        """
        yield from _document_metrics(self._status)
        yield GaugeMetricFamily(
            "thim_refresh_failed",
            "Whether refreshing went wrong in this worker's last step.",
            value=self._service.find_trouble() is not None,
        )
        yield from _platform_metrics(self._status)
        yield from _amd_metrics(self._status.amd)
        yield from _vendor_metrics(self._status)
        yield from _tenant_metrics(self._service)
        yield from _attestation_metrics(self._service)
        yield from _counters(Watch(self._service.replica))


def _document_metrics(status: Status) -> Iterator[Metric]:
    if status.autonomy is not None:
        yield GaugeMetricFamily(
            "thim_autonomy_hours",
            "How long all promised documents stay valid without any vendor.",
            value=status.autonomy.total_seconds() / _HOUR,
        )
    promised = GaugeMetricFamily(
        "thim_promised_documents",
        "Documents that are kept fresh, by state.",
        labels=["state"],
    )
    for state, count in status.states.items():
        promised.add_metric([state], count)
    yield promised
    concerns = GaugeMetricFamily(
        "thim_concerns",
        "What an operator should look at, by reason; 1 soon, 2 now.",
        labels=["reason"],
    )
    levels: dict[str, Level] = {}
    for concern in status.concerns:
        worst = max(levels.get(concern.reason, Level.WELL), concern.level)
        levels[concern.reason] = worst
    for reason, level in levels.items():
        concerns.add_metric([reason], level)
    yield concerns


def _platform_metrics(status: Status) -> Iterator[Metric]:
    yield from _gauges(
        ("platforms", "Platforms that are known.", status.platforms),
        (
            "platforms_without_certificates",
            "Platforms in service that have no PCK certificate yet.",
            status.bare_platforms,
        ),
        (
            "platforms_revoked",
            "Platforms with a current PCK certificate that is revoked.",
            status.revoked_platforms,
        ),
    )


def _amd_metrics(amd: ChipCounts) -> Iterator[Metric]:
    yield from _gauges(
        ("chips", "AMD chips that are registered and in service.", amd.chips),
        (
            "chips_confirmed",
            "Those that a report has confirmed.",
            amd.confirmed,
        ),
        (
            "chips_without_vcek",
            "Those without the VCEK for their TCB.",
            amd.bare,
        ),
        ("vceks", "VCEKs that are held.", amd.vceks),
        ("vceks_waited_for", "VCEKs that are waited for.", amd.waiting),
    )


def _tenant_metrics(service: Service) -> Iterator[Metric]:
    number = GaugeMetricFamily(
        "thim_tenant_evaluation_number",
        "The TCB evaluation data number that answers a tenant.",
        labels=["tenant", "baseline"],
    )
    signed = GaugeMetricFamily(
        "thim_tenant_number_signed",
        "Whether the vendor still signs it.",
        labels=["tenant", "baseline"],
    )
    for state in list_states(service.replica, service.clock()):
        if state.number is not None:
            labels = [state.tenant, state.baseline]
            number.add_metric(labels, state.number)
            signed.add_metric(labels, state.is_signing)
    yield number
    yield signed
    yield from _fleet_metrics(OutlookView(service.replica))
    yield from _notice_metrics(NoticeView(service.replica))


def _attestation_metrics(service: Service) -> Iterator[Metric]:
    attestations = CounterMetricFamily(
        "thim_attestations",
        "Attestations by what became of them: issued, or why there is no "
        "token.",
        labels=["type", "result"],
    )
    view = DecisionView(find_decisions(service.settings.store))
    try:
        tallies = view.tallies()
    except (OperatorError, UnavailableError):
        return  # the rest is true all the same
    for labels, count in tallies.items():
        attestations.add_metric(labels, count)
    yield attestations


def _notice_metrics(view: NoticeView) -> Iterator[Metric]:
    numbers = GaugeMetricFamily(
        "thim_evaluation_number_noticed_timestamp_seconds",
        "When a TCB evaluation data number was first noticed.",
        labels=["number"],
    )
    for notice in view.recent(_MOST_NOTICES):
        if notice.kind == NEW_NUMBER:
            numbers.add_metric([notice.subject], notice.at.timestamp())
    yield numbers
    deliveries = GaugeMetricFamily(
        "thim_webhook_notices",
        "Notices for a webhook, by what became of them.",
        labels=["webhook", "state"],
    )
    for hook, tally in view.tallies().items():
        deliveries.add_metric([hook, "delivered"], tally.delivered)
        deliveries.add_metric([hook, "waiting"], tally.waiting)
        deliveries.add_metric([hook, "given-up"], tally.given_up)
    yield deliveries


def _fleet_metrics(view: OutlookView) -> Iterator[Metric]:
    platforms = GaugeMetricFamily(
        "thim_fleet_platforms",
        "A tenant's platforms by how they stand under its number.",
        labels=["tenant", "tee", "standing"],
    )
    breaking = GaugeMetricFamily(
        "thim_fleet_breaking",
        "Those that would break under the newest number that is signed.",
        labels=["tenant", "number"],
    )
    for tenant, body in view.bodies().items():
        outlook = json.loads(body)
        for each in outlook["standings"]:
            labels = [tenant, each["tee"], each["standing"]]
            platforms.add_metric(labels, each["platforms"])
        if "breaking" in outlook:
            labels = [tenant, str(outlook["newest"])]
            breaking.add_metric(labels, outlook["breaking"])
    yield platforms
    yield breaking
    taken = view.taken()
    if taken is not None:
        yield GaugeMetricFamily(
            "thim_fleet_outlook_timestamp_seconds",
            "When that was worked out.",
            value=taken.timestamp(),
        )


def _gauges(*rows: tuple[str, str, int]) -> Iterator[Metric]:
    for name, help_text, value in rows:
        yield GaugeMetricFamily(f"thim_{name}", help_text, value=value)


def _vendor_metrics(status: Status) -> Iterator[Metric]:
    if status.answered is not None:
        yield GaugeMetricFamily(
            "thim_vendor_last_answer_timestamp_seconds",
            "When a vendor last answered as it should.",
            value=status.answered.timestamp(),
        )
    requests = CounterMetricFamily(
        "thim_vendor_requests",
        "Requests to each vendor address.",
        labels=["address"],
    )
    failures = GaugeMetricFamily(
        "thim_vendor_failures_in_a_row",
        "Failures of each vendor address since it last answered.",
        labels=["address"],
    )
    for address in status.addresses:
        requests.add_metric([address.address], address.requests)
        failures.add_metric([address.address], address.failures)
    yield requests
    yield failures


def _counters(watch: Watch) -> Iterator[Metric]:
    for name, help_text in (
        ("refused", "Documents that were refused, by reason."),
        ("shortfall", "Genuine documents that were not what was asked for."),
    ):
        family = CounterMetricFamily(
            f"thim_{name}", help_text, labels=["reason"]
        )
        for counter in watch.counters():
            if counter.name == name:
                family.add_metric([counter.label], counter.count)
        yield family
