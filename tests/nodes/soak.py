"""
The long runs: ``make soak``, or ``python -m tests.nodes.soak``.

One node is asked for half of what it can answer; then seeds of faults are
played in three nodes, several at once: a round of long outages and some of
short ones.

=====================  =======  ==============================================
THIM_SOAK_SECONDS      600      of the steady run
THIM_SOAK_RATE         of half  GETs in a second in the steady run; default:
                       capacity half of what was measured before it
THIM_SOAK_SEEDS        20       seeds of faults
THIM_SOAK_OUTAGE       600      seconds of each fault in a seed's first round
THIM_SOAK_AT_ONCE      5        seeds that are played at once
THIM_TEST_SLACK        4        by what healing (5 s) and a CRL's way to all
                                (1 s) may take longer where several seeds are
                                played at once, as in the tests: they have the
                                processors by turns; 1 where it is one
=====================  =======  ==============================================
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.nodes.found import Found, summarise
from tests.nodes.play import HEALING
from tests.nodes.runs import Run, exit_on_signals, play, say


_SECONDS: Final = os.environ.get("THIM_SOAK_SECONDS", "600")
_RATE: Final = os.environ.get("THIM_SOAK_RATE")
_SEEDS: Final = int(os.environ.get("THIM_SOAK_SEEDS", "20"))
_OUTAGE: Final = os.environ.get("THIM_SOAK_OUTAGE", "600")
_AT_ONCE: Final = int(os.environ.get("THIM_SOAK_AT_ONCE", "5"))
_SLACK: Final = os.environ.get("THIM_TEST_SLACK", "4") if _AT_ONCE > 1 else "1"
#: A world keeps the processors busy for so many seconds when it begins.
_PAUSE: Final = 30.0


def soak(folder: Path) -> Generator[Found]:
    """
    Do all runs, whose files are in *folder*; yield what each came to.
    """
    rate = [_RATE] if _RATE else []
    steady = Run(
        name="steady",
        program=["-m", "tests.nodes.soak_steady"],
        arguments=[_SECONDS, *rate],
    )
    seeds = [
        Run(
            name=f"seed {seed}",
            program=["-m", "tests.nodes.soak_seed"],
            arguments=[str(seed), _OUTAGE, _SLACK],
        )
        for seed in range(_SEEDS)
    ]
    yield from play([steady], folder, 1)
    say(
        f"{_SEEDS} seeds, {_AT_ONCE} at once: healing and CRLs may take "
        f"{_SLACK} times as long as promised"
    )
    yield from play(seeds, folder, _AT_ONCE, _PAUSE)


def main() -> None:
    """
    Run all of it, and end with 1 if something was wrong.
    """
    exit_on_signals()
    folder = Path(tempfile.mkdtemp(prefix="thim-soak-"))
    folder.chmod(0o755)
    found: list[Found] = []
    try:
        with closing(soak(folder)) as runs:
            for each in runs:
                _tell(each)
                found.append(each)
    except SystemExit:
        shutil.rmtree(folder)
        raise
    sys.exit(_judge(found, folder))


def _tell(found: Found) -> None:
    for line in found.told:
        say(f"{found.name}: {line}")
    for line in found.wrong:
        say(f"{found.name}: WRONG: {line}")
    say(f"{found.name}: ended")


def _judge(found: list[Found], folder: Path) -> int:
    for line in summarise(found, HEALING):
        say(line)
    wrong = [f"{each.name}: {line}" for each in found for line in each.wrong]
    for line in wrong:
        say(f"WRONG: {line}")
    if wrong:
        say(f"{len(wrong)} things were wrong; see {folder}")
        return 1
    folder.rmdir()
    say("soaked")
    return 0


if __name__ == "__main__":
    main()
