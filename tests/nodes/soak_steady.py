"""
The steady run of ``make soak``:
``python -m tests.nodes.soak_steady FOUND SECONDS [RATE]``.

One node is asked for RATE documents a second, by default half of what was
measured before.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.nodes.filling import fill
from tests.nodes.found import Found
from tests.nodes.load import Orders
from tests.nodes.notes import Notes
from tests.nodes.play import judge, loading
from tests.nodes.runs import exit_on_signals, say
from tests.nodes.world import Node, World, open_world


#: So much of the time is for warming up.
_WARM: Final = 1 / 5
_GROWTH: Final = 1.05
_STEADY: Final = 1.5
#: What differs by less is noise.
_NOISE: Final = 0.002
_MINUTE: Final = 60.0


def soak(folder: Path, seconds: float, rate: float | None) -> Found:
    """
    Ask one node for so many *seconds*; return what it came to, its files in
    *folder*.
    """
    found = Found(name="steady")
    with open_world(folder / "world") as world:
        orders = fill(world, rate=15, writes=0)
        node = world.nodes[0]
        orders = dataclasses.replace(
            orders,
            nodes={node.name: node.address},
            clients=16,
            writes=0.2,
            notes=str(world.folder / "steady.notes"),
        )
        rate = rate or _measure(world, orders) / 2
        say(f"steady: {rate:.0f} GETs a second for {seconds:.0f} s")
        with loading(world, dataclasses.replace(orders, rate=rate)) as load:
            sizes = _watch(node, seconds)
            notes = load.notes()
        found.count(notes, world.gone)
        found.wrong = [
            *judge(world, notes),
            *_judge_times(notes, found),
            *_judge_sizes(*sizes, found),
        ]
    return found


def _measure(world: World, orders: Orders) -> float:
    """Measure how many GETs a second are answered at the most."""
    notes = str(world.folder / "most.notes")
    most = dataclasses.replace(orders, rate=1e6, notes=notes)
    with loading(world, most) as load:
        time.sleep(12)
        counts = [len(s["times"]) for s in load.notes().seconds()]
    found = sorted(counts[2:-1])[len(counts[2:-1]) // 2]
    say(f"steady: {found} GETs a second is the most that this client gets")
    return float(found)


def _watch(node: Node, seconds: float) -> tuple[dict[int, int], dict[int, int]]:
    """Return the processes' sizes when they were warm, and in the end."""
    start = time.monotonic()
    _watch_until(node, start, seconds * _WARM)
    before = _read_sizes(node)
    _watch_until(node, start, seconds)
    return before, _read_sizes(node)


def _watch_until(node: Node, start: float, end: float) -> None:
    while (passed := time.monotonic() - start) < end:
        sizes = _read_sizes(node)
        each = ", ".join(str(size) for size in sizes.values())
        total = sum(sizes.values())
        say(f"steady: after {passed:.0f} s {total} kB: {each}")
        time.sleep(min(_MINUTE, end - passed))


def _judge_times(notes: Notes, found: Found) -> Iterator[str]:
    seconds = notes.seconds()
    third = len(seconds) // 3
    first, last = _p99(seconds[:third]), _p99(seconds[-third:])
    found.told.append(f"p99 {first * 1e3:.2f} ms, then {last * 1e3:.2f} ms")
    if last > first * _STEADY + _NOISE:
        yield f"p99 went from {first:.4f} s to {last:.4f} s"


def _judge_sizes(
    before: dict[int, int], after: dict[int, int], found: Found
) -> Iterator[str]:
    for pid, size in after.items():
        was = before.get(pid, math.nan)
        found.told.append(
            f"process {pid}: {was} kB, then {size} kB ({size / was - 1:+.1%})"
        )
        if not size <= was * _GROWTH:
            yield f"process {pid} grew from {was} to {size} kB"


def _read_sizes(node: Node) -> dict[int, int]:
    return {pid: _read_resident(pid) for pid in node.pids()}


def _read_resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (x for x in status.splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1])


def _p99(seconds: Sequence[dict[str, list[float]]]) -> float:
    times = sorted(t for second in seconds for t in second["times"])
    return times[len(times) * 99 // 100]


def main() -> None:
    """
    Do as the arguments say.
    """
    exit_on_signals()
    path, seconds, *rates = sys.argv[1:]
    rate = float(rates[0]) if rates else None
    soak(Path(path).parent, float(seconds), rate).write(Path(path))


if __name__ == "__main__":
    main()
