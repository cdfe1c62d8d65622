"""
Metrics from rows: a name without its prefix, a sentence, labels and values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The values of its labels, and its own.
Row: TypeAlias = "tuple[Sequence[str], float]"


def gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """
    Make a gauge of one *value*; without a sample where there is none.
    """
    return GaugeMetricFamily(f"thim_{name}", text, value=value)


def gauges(
    name: str, text: str, labels: Sequence[str], rows: Iterable[Row]
) -> GaugeMetricFamily:
    """
    Make a gauge with *labels*.
    """
    family = GaugeMetricFamily(f"thim_{name}", text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def counters(
    name: str, text: str, labels: Sequence[str], rows: Iterable[Row]
) -> CounterMetricFamily:
    """
    Make a counter with *labels*, or none.
    """
    family = CounterMetricFamily(f"thim_{name}", text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family
