"""
One seed of ``make soak``:
``python -m tests.nodes.soak_seed FOUND SEED OUTAGE SLACK``.

The first round is of OUTAGE seconds, and those of `SHORT` follow; healing and
a CRL's way may take SLACK times as long as promised.
"""

from __future__ import annotations

import sys

from pathlib import Path
from typing import Final

from tests.nodes import spreading
from tests.nodes.filling import fill
from tests.nodes.found import Found
from tests.nodes.play import HEALING, Measured, Player, judge, loading
from tests.nodes.runs import exit_on_signals, say
from tests.nodes.schedule import make_schedule
from tests.nodes.world import World, open_world


#: As in the tests.
SHORT: Final = (20.0, 20.0, 20.0)
#: Within so many seconds every worker of every node serves a new CRL.
_SPREAD: Final = 1.0


def soak(folder: Path, seed: int, outage: float, slack: float) -> Found:
    """
    Play a seed, whose files are in *folder*; return what it came to.
    """
    found = Found(name=f"seed {seed}")
    with open_world(folder / "world") as world:
        orders = fill(world, rate=15, writes=2, seed=seed, behind=slack)
        with loading(world, orders) as load:
            player = Player(world, load)
            outages = (outage, *SHORT)
            try:
                _play(player, seed, outages, slack, found)
                with load.silent():
                    player.await_one_mind(HEALING * slack)
                    found.wrong += judge(world, load.notes())
                _spread(world, slack, found)
            except AssertionError as e:
                found.wrong.append(str(e))
            found.count(load.notes(), world.gone)
    return found


def _play(
    player: Player,
    seed: int,
    outages: tuple[float, ...],
    slack: float,
    found: Found,
) -> None:
    schedule = make_schedule(seed, nodes=3, outages=outages, stagger=0.25)
    for outage, faults in zip(outages, schedule, strict=True):
        names = ", ".join(fault.kind.value for fault in faults)
        say(f"{found.name}: {outage:.0f} s of {names}")
        measured = player.play(faults, slack)
        say(f"{found.name}: {_describe(measured)}")
        found.healing.append(measured.healing)
        if measured.takeover is not None:
            found.takeover.append(measured.takeover)


def _describe(measured: Measured) -> str:
    over = (
        f", {measured.takeover:.2f} s until another led"
        if measured.takeover is not None
        else ""
    )
    return f"of one mind after {measured.healing:.2f} s{over}"


def _spread(world: World, slack: float, found: Found) -> None:
    found.spread = spreading.measure(world)
    last = found.spread[-1]
    say(f"{found.name}: a new CRL everywhere after {last:.3f} s")
    if last > _SPREAD * slack:
        found.wrong.append(f"a CRL took {last:.3f} s")


def main() -> None:
    """
    Do as the arguments say.
    """
    exit_on_signals()
    path, seed, outage, slack = sys.argv[1:]
    folder = Path(path).parent
    soak(folder, int(seed), float(outage), float(slack)).write(Path(path))


if __name__ == "__main__":
    main()
