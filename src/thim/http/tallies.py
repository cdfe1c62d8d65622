"""
What one worker counts, as plain numbers: the event loop adds to them without a
lock, and whoever is asked for metrics reads them.

What the fast path answers is counted in a `Meter`, one addition each, and
gathered when somebody wants to know.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from thim.errors import MalformedError
from thim.services.outcome import NOT_NOW


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: A metric's name, and the values of its labels.
Key: TypeAlias = "tuple[str, ...]"
#: Upper ends of the classes of latency, in seconds.
BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
#: Tenants that a worker tells apart; others are counted together.
MOST_TENANTS: Final = 500
OTHERS: Final = "other"

REQUESTS: Final = "requests"
MEMO_HITS: Final = "memo_hits"
PCK_HITS: Final = "pck_hits"
MEMO_MISSES: Final = "memo_misses"
VERDICTS: Final = "verdicts"
ANSWERS: Final = "vendor_answers"
BUDGET: Final = "vendor_budget"
STARTS: Final = "starts"
BUCKET: Final = "bucket"
MICROSECONDS: Final = "microseconds"
REFRESH_FAILED: Final = "refresh_failed"
MEMO_BYTES: Final = "memo_bytes"
MEMO_ENTRIES: Final = "memo_entries"


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """
    A worker's numbers at one moment: *counts* only grow, *gauges* do not.
    """

    counts: tuple[tuple[Key, int], ...] = ()
    gauges: dict[str, int] = {}


def write_sheet(sheet: Sheet) -> bytes:
    """
    Write *sheet* for others.
    """
    return msgspec.json.encode(sheet)


def read_sheet(body: bytes) -> Sheet:
    """
    Read what `write_sheet` wrote.

    Raises:
        MalformedError: It is nothing of the kind.
    """
    try:
        return msgspec.json.decode(body, type=Sheet)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        msg = f"a worker's numbers cannot be read: {e}"
        raise MalformedError(msg) from e


@dataclasses.dataclass(slots=True)
class Meter:
    """How many requests of one family and tenant the fast path answered."""

    hits: int = 0


class Meters:
    """
    The meters of one part of the fast path, by family and tenant.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Meter] = {}

    @property
    def hits(self) -> int:
        """
        What all of them count.
        """
        return sum(meter.hits for meter in self._known.values())

    def find(self, family: str, tenant: str) -> Meter:
        """
        Return the meter of that *family* and *tenant*, the same one each time.
        """
        return self._known.setdefault((family, tenant), Meter())

    def read(self, total: str) -> tuple[tuple[Key, int], ...]:
        """
        Return what they count as requests, and all of it as *total*.
        """
        requests = (
            ((REQUESTS, family, tenant, "2xx"), meter.hits)
            for (family, tenant), meter in self._known.items()
        )
        return (*requests, ((total,), self.hits))


class Tallies:
    """
    What one worker counts; lives on one event loop.
    """

    def __init__(self) -> None:
        self._counts: collections.Counter[Key] = collections.Counter()
        self._tenants: set[str] = set()
        self._sources: list[Callable[[], Sheet]] = []

    def add_source(self, read: Callable[[], Sheet]) -> None:
        """
        Gather what *read* returns as well: numbers that somebody else keeps.
        """
        self._sources.append(read)

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """
        Count one more of *name*, or as many as *by* says.
        """
        self._counts[name, *labels] += by

    def count_request(
        self, family: str, tenant: str, status: int, seconds: float
    ) -> None:
        """
        Count a request of a *family* for a *tenant*, and how long it took.
        """
        kind = f"{status // 100}xx"
        self._counts[REQUESTS, family, self.name_tenant(tenant), kind] += 1
        place = bisect.bisect_left(BOUNDS, seconds)
        self._counts[BUCKET, family, str(place)] += 1
        self._counts[MICROSECONDS, family] += round(seconds * 1_000_000)

    def count_verdict(self, kind: str, status: str, tenant: str) -> None:
        """
        Count an attestation of a *kind* by its *status*.
        """
        self._counts[VERDICTS, kind, status, self.name_tenant(tenant)] += 1

    def count_answer(self, address: str, code: str) -> None:
        """
        Count what the vendor at *address* answered.
        """
        if code == NOT_NOW:
            self._counts[BUDGET, address] += 1
        else:
            self._counts[ANSWERS, address, code] += 1

    def name_tenant(self, tenant: str) -> str:
        """
        Return by which name *tenant* is counted.
        """
        if tenant in self._tenants:
            return tenant
        if len(self._tenants) >= MOST_TENANTS:
            return OTHERS
        self._tenants.add(tenant)
        return tenant

    def gather(self) -> Sheet:
        """
        Return all numbers of this moment.
        """
        sheets = [read() for read in self._sources]
        counts = self._counts.copy()
        gauges: collections.Counter[str] = collections.Counter()
        for sheet in sheets:
            counts.update(dict(sheet.counts))
            gauges.update(sheet.gauges)
        return Sheet(counts=tuple(counts.items()), gauges=dict(gauges))


def add_up(
    mine: Sheet, living: Iterable[Sheet], gone: Iterable[Sheet] = ()
) -> Sheet:
    """
    Add up the sheets of all workers; of those that are *gone* only what they
    had counted.
    """
    counts: collections.Counter[Key] = collections.Counter()
    gauges: collections.Counter[str] = collections.Counter()
    for sheet in (mine, *living):
        counts.update(dict(sheet.counts))
        gauges.update(sheet.gauges)
    for sheet in gone:
        counts.update(dict(sheet.counts))
    return Sheet(counts=tuple(counts.items()), gauges=dict(gauges))
