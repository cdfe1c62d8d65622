"""
The long runs: ``make soak``, or ``python -m tests.nodes.soak``.

=====================  =======  ==============================================
THIM_SOAK_SEEDS        20       seeds of faults
THIM_SOAK_SECONDS      600      of each seed, and of the steady run
THIM_SOAK_OUTAGE       20       seconds of each fault
THIM_SOAK_RATE         of half  GETs in a second and node in the steady run;
                       capacity default: half of what was measured before it
=====================  =======  ==============================================
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import sys
import tempfile
import time

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.nodes import spreading
from tests.nodes.filling import fill
from tests.nodes.load import Orders
from tests.nodes.play import Load, Player, judge
from tests.nodes.schedule import make_schedule
from tests.nodes.world import Node, World, open_world


_SEEDS: Final = int(os.environ.get("THIM_SOAK_SEEDS", "20"))
_SECONDS: Final = float(os.environ.get("THIM_SOAK_SECONDS", "600"))
_OUTAGE: Final = float(os.environ.get("THIM_SOAK_OUTAGE", "20"))
_RATE: Final = os.environ.get("THIM_SOAK_RATE")
#: A fifth of the time is for warming up.
_WARM: Final = _SECONDS / 5
_GROWTH: Final = 1.05
_STEADY: Final = 1.5
#: What differs by less is noise.
_NOISE: Final = 0.002


def say(text: str) -> None:
    """
    Write a line at once.
    """
    sys.stdout.write(f"{time.strftime('%T')} {text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def loading(world: World, orders: Orders) -> Iterator[Load]:
    """
    Run a load until the end of the ``with``.
    """
    load = Load(world, orders)
    try:
        yield load
    finally:
        load.end()


def soak_faults() -> list[str]:
    """
    Play all seeds; return what was wrong.
    """
    wrong: list[str] = []
    rounds = max(1, round(_SECONDS / (_OUTAGE * 1.5)))
    for seed in range(_SEEDS):
        with (
            tempfile.TemporaryDirectory(prefix="thim-soak-") as folder,
            open_world(Path(folder) / "world") as world,
            loading(world, fill(world, rate=15, writes=2, seed=seed)) as load,
        ):
            found = _play(world, load, seed, rounds)
            found += _spread(world, seed)
            wrong += [f"seed {seed}: {each}" for each in found]
    return wrong


def _spread(world: World, seed: int) -> list[str]:
    took = spreading.measure(world)
    middle, last = took[len(took) // 2], took[-1]
    say(
        f"seed {seed}: a new CRL after {middle:.3f} s (median), "
        f"{last:.3f} s (everywhere)"
    )
    return [f"a CRL took {last:.3f} s"] if last > 1 else []


def _play(world: World, load: Load, seed: int, rounds: int) -> list[str]:
    player = Player(world, load)
    schedule = make_schedule(
        seed, nodes=3, rounds=rounds, outage=_OUTAGE, stagger=_OUTAGE / 2
    )
    try:
        for number, faults in enumerate(schedule):
            measured = player.play(faults)
            names = ", ".join(kind.value for kind in measured.kinds)
            over = (
                f", {measured.takeover:.2f} s until another leads"
                if measured.takeover is not None
                else ""
            )
            say(
                f"seed {seed} round {number}: {names}: "
                f"of one mind after {measured.healing:.2f} s{over}"
            )
    except AssertionError as e:
        return [str(e)]
    with load.silent():
        player.await_one_mind(5)
        return judge(world, load.notes())


def soak_steadily() -> list[str]:
    """
    Ask one node for half of what it can answer; return what was wrong.
    """
    with (
        tempfile.TemporaryDirectory(prefix="thim-soak-") as folder,
        open_world(Path(folder) / "world") as world,
    ):
        orders = fill(world, rate=15, writes=0)
        node = world.nodes[0]
        orders = dataclasses.replace(
            orders, nodes={node.name: node.address}, writes=0.2
        )
        rate = float(_RATE) if _RATE else _measure(world, orders) / 2
        say(f"steady: {rate:.0f} GETs a second for {_SECONDS:.0f} s")
        with loading(
            world,
            dataclasses.replace(
                orders,
                clients=16,
                rate=rate,
                notes=str(world.folder / "steady.notes"),
            ),
        ) as load:
            return _watch(world, node, load)


def _measure(world: World, orders: Orders) -> float:
    """Measure how many GETs a second are answered at the most."""
    notes = str(world.folder / "most.notes")
    most = dataclasses.replace(orders, clients=16, rate=1e6, notes=notes)
    with loading(world, most) as load:
        time.sleep(12)
        counts = [len(s["times"]) for s in load.notes().seconds()]
    found = sorted(counts[2:-1])[len(counts[2:-1]) // 2]
    say(f"steady: {found} GETs a second is the most that this client gets")
    return float(found)


def _watch(world: World, node: Node, load: Load) -> list[str]:
    time.sleep(_WARM)
    before = _memory(node)
    time.sleep(_SECONDS - _WARM)
    after = _memory(node)
    notes = load.notes()
    wrong = judge(world, notes)
    seconds = notes.seconds()
    third = len(seconds) // 3
    first, last = _p99(seconds[:third]), _p99(seconds[-third:])
    total = sum(len(s["times"]) for s in seconds)
    say(f"steady: {total} GETs, p99 {first * 1e3:.2f} ms, {last * 1e3:.2f} ms")
    if last > first * _STEADY + _NOISE:
        wrong.append(f"p99 went from {first:.4f} s to {last:.4f} s")
    for pid, size in after.items():
        was = before.get(pid, math.nan)
        say(f"steady: process {pid}: {was} kB, then {size} kB")
        if not size <= was * _GROWTH:
            wrong.append(f"process {pid} grew from {was} to {size} kB")
    return wrong


def _memory(node: Node) -> dict[int, int]:
    return {pid: _resident(pid) for pid in node.pids()}


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (x for x in status.splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1])


def _p99(seconds: Sequence[dict[str, list[float]]]) -> float:
    times = sorted(t for second in seconds for t in second["times"])
    return times[len(times) * 99 // 100]


def main() -> None:
    """
    Run all of it, and end with 1 if something was wrong.
    """
    wrong = [*soak_steadily(), *soak_faults()]
    for line in wrong:
        say(f"WRONG: {line}")
    say("soaked" if not wrong else f"{len(wrong)} things were wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
