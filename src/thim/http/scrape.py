"""
What metrics are made from: the store, and the numbers of all workers, at one
moment.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.http.settings import HttpSettings
    from thim.http.tallies import Sheet
    from thim.services.status import Status
    from thim.store.node_state import NodeState
    from thim.store.replica import Replica


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """
    One answer to ``/metrics``.

    Attributes:
        settings: What the process was told.
        now: When it is.
        sheet: What all workers have counted.
        pids: The workers.
        node: How the node stands, if it is one of several and it is known.
    """

    settings: HttpSettings
    now: datetime
    sheet: Sheet
    pids: Sequence[int]
    node: NodeState | None = None

    def counted(self, name: str) -> Iterator[tuple[Sequence[str], int]]:
        """
        Return labels and count of each that is counted as *name*.
        """
        for (known, *labels), count in self.sheet.counts:
            if known == name:
                yield labels, count

    def total(self, name: str) -> int:
        """
        Return how often *name* was counted.
        """
        return sum(count for _, count in self.counted(name))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoreScrape(Scrape):
    """
    The same, where the store can be read.

    Attributes:
        replica: The store.
        status: How it stands.
    """

    replica: Replica
    status: Status
