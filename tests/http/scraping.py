"""
What a service says to Prometheus, for tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import Served


#: A sample's name, and the values of its labels in the order of their names.
Labelled: TypeAlias = tuple[str, ...]


def scrape(served: Served) -> list[Metric]:
    """
    Ask for the metrics.
    """
    got = served.get("/metrics")
    assert 200 == got.status
    assert got["content-type"].startswith("text/plain")
    return list(text_string_to_metric_families(got.body.decode()))


def values(families: Iterable[Metric]) -> Mapping[Labelled, float]:
    """
    Return each sample's value.
    """
    return {
        (s.name, *(s.labels[name] for name in sorted(s.labels))): s.value
        for family in families
        for s in family.samples
    }


def read(served: Served) -> Mapping[Labelled, float]:
    """
    Ask for the metrics, and return each sample's value.
    """
    return values(scrape(served))
