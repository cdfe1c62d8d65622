"""
What happens to several nodes and their ledger, and when: made from a seed.

A schedule is a number of *rounds*.  In each some things go wrong at about the
same time, all are mended, and then everybody must be of one mind again.
"""

from __future__ import annotations

import dataclasses
import enum
import random

from collections.abc import Sequence
from typing import Final


class Kind(enum.Enum):
    """What goes wrong."""

    #: All processes of a node are killed, and it is started again.
    KILL = "kill"
    #: A node stands still, and goes on.
    PAUSE = "pause"
    #: A node is cut off from the ledger and the vendors.
    CUT_LEDGER = "cut-ledger"
    #: The same, and from its clients.
    CUT_ALL = "cut-all"
    #: PostgreSQL ends as an administrator has it end, and is started again.
    STOP = "stop"
    #: PostgreSQL ends as in a crash, and is started again.
    CRASH = "crash"
    #: The node that refreshes Intel's documents is killed while it does.
    FAIL_OVER = "fail-over"
    #: It is cut off from the ledger and the vendors while it does.
    CUT_LEADER = "cut-leader"


#: Nobody reaches the node.
UNREACHABLE: Final = frozenset(
    {Kind.KILL, Kind.PAUSE, Kind.CUT_ALL, Kind.FAIL_OVER}
)
#: Another node has to take over.
TAKEN_OVER: Final = frozenset({Kind.FAIL_OVER, Kind.CUT_LEADER})
LEDGER: Final = frozenset({Kind.STOP, Kind.CRASH})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    What goes wrong, with which *node*, from when to when, in seconds since
    the round began.

    *node* is None where it is the ledger, or whoever leads.
    """

    kind: Kind
    node: int | None
    start: float
    end: float


Round = Sequence[Fault]


def make_schedule(
    seed: int, *, nodes: int, outages: Sequence[float], stagger: float
) -> list[Round]:
    """
    Make a schedule with a round for each of *outages*: its faults last for so
    many seconds, and begin in the first of these, whose part is *stagger*.

    What goes wrong with whom depends on the *seed* alone, not on how long.
    """
    draw = random.Random(seed)
    return [
        _make_round(draw, nodes, outage, outage * stagger) for outage in outages
    ]


def _make_round(
    draw: random.Random, nodes: int, outage: float, stagger: float
) -> Round:
    def fault(kind: Kind, node: int | None) -> Fault:
        start = draw.uniform(0, stagger)
        return Fault(kind=kind, node=node, start=start, end=start + outage)

    if draw.random() < 1 / 3:
        # Who takes over needs the ledger, and somebody has to.
        return [fault(draw.choice((Kind.FAIL_OVER, Kind.CUT_LEADER)), None)]
    gone, cut = draw.sample(range(nodes), 2)
    wanted = (
        (draw.choice((Kind.KILL, Kind.PAUSE, Kind.CUT_ALL)), gone),
        (Kind.CUT_LEDGER, cut),
        (draw.choice((Kind.STOP, Kind.CRASH)), None),
    )
    # Two of the three at least.
    left_out = draw.choice((0, 1, 2, None, None, None))
    faults = [fault(*each) for n, each in enumerate(wanted) if n != left_out]
    return sorted(faults, key=lambda each: each.start)
