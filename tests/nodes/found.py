"""
What long runs came to, which is handed from process to process as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import statistics

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.nodes.notes import Gone, Notes, unexplained


@dataclasses.dataclass(slots=True, kw_only=True)
class Found:
    """
    What the run of a *name* came to: what was *wrong*; in seconds how long
    each *healing* and each *takeover* took, and each connection's getting a
    new CRL (*spread*); how many GETs were answered (*gets*), how many *failed*
    at nodes that could be reached and how many at nodes that were *gone*; how
    many writes were *kept* and *refused*; and what else is to be *told*.
    """

    name: str
    wrong: list[str] = dataclasses.field(default_factory=list)
    healing: list[float] = dataclasses.field(default_factory=list)
    takeover: list[float] = dataclasses.field(default_factory=list)
    spread: list[float] = dataclasses.field(default_factory=list)
    gets: int = 0
    failed: int = 0
    gone: int = 0
    kept: int = 0
    refused: int = 0
    told: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Found:
        """
        Read what `write` has written.
        """
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        """
        Write it into a file.
        """
        path.write_text(json.dumps(dataclasses.asdict(self)))

    def count(self, notes: Notes, gone: Sequence[Gone]) -> None:
        """
        Count what the load noted while nodes were *gone*.
        """
        failures = notes.failures()
        self.gets = sum(len(second["times"]) for second in notes.seconds())
        self.failed = len(unexplained(failures, gone))
        self.gone = len(failures) - self.failed
        self.kept = len(notes.acknowledged())
        self.refused = len(notes.refusals())


def summarise(found: Sequence[Found], healing: float) -> Iterator[str]:
    """
    Say of each figure how it was in all runs; *healing* is what was promised
    of it, in seconds.
    """
    for each in found:
        yield from (f"{each.name}: {text}" for text in each.told)
    took = [seconds for each in found for seconds in each.healing]
    late = sum(seconds > healing for seconds in took)
    yield f"of one mind: {_worst(found, 'healing')}; {late} over {healing:g} s"
    yield f"another leads: {_worst(found, 'takeover')}"
    yield f"a new CRL: {_worst(found, 'spread')}"
    gets, failed, gone, kept, refused = (
        sum(getattr(each, name) for each in found)
        for name in ("gets", "failed", "gone", "kept", "refused")
    )
    yield (
        f"GETs: {gets} answered, {failed} failed at nodes that could be "
        f"reached, {gone} at nodes that were gone"
    )
    yield f"writes: {kept} acknowledged, {refused} refused"


def _worst(found: Sequence[Found], name: str) -> str:
    took = [(s, each.name) for each in found for s in getattr(each, name)]
    if not took:
        return "never measured"
    median = statistics.median(seconds for seconds, _ in took)
    worst, where = max(took)
    return (
        f"{median:.3f} s (median of {len(took)}), {worst:.3f} s "
        f"(worst, {where})"
    )
