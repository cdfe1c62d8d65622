"""
The vendors of the demo: the world that ships with thim, with a TCB recovery
that has just begun whenever the demo is started.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime

from typing import TYPE_CHECKING, Final

import msgspec

from thim.services.clock import utc_now
from thim.simulate.amd_part import LimitPart
from thim.simulate.clock import Clock
from thim.simulate.demo.fleet import DemoFleet
from thim.simulate.sense import check_sense
from thim.simulate.server import Simulated, simulating
from thim.simulate.world import (
    NumberPart,
    RevocationPart,
    World,
    default_world,
)


if TYPE_CHECKING:
    from collections.abc import Iterator

DAY: Final = datetime.timedelta(days=1)
#: How long ago the past begins that a store is given.
PAST: Final = 40
#: How many days ago ``standard`` came to the number of the year before, ...
PROMOTED: Final = 9
#: ... and Intel published its newest number.
PUBLISHED: Final = 6
STANDARD: Final = 20
NEWEST: Final = 22


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """
    The simulated *vendors* of a demo, whose *fleet* it is, and the day on which
    it is shown; *vendors* play at its past until it is built.
    """

    vendors: Simulated
    fleet: DemoFleet
    today: datetime.datetime


@contextlib.contextmanager
def staging(size: int) -> Iterator[Stage]:
    """
    Run the simulated vendors of a demo with *size* machines, on free ports,
    until the end of the ``with``.
    """
    now, fleet = utc_now(), DemoFleet.of(size)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    clock = Clock(now - PAST * DAY, frozen=True)
    with simulating(make_world(fleet, today), clock) as vendors:
        yield Stage(vendors=vendors, fleet=fleet, today=today)


def make_world(fleet: DemoFleet, today: datetime.datetime) -> World:
    """
    Make the vendors' world as it is seen on *today*, with the machines of
    *fleet*, of which Intel has revoked the first.

    AMD answers as often as it is asked: nobody waits half an hour for a demo.
    """
    world = default_world()
    revoked = RevocationPart(
        ca="platform",
        since=today - DAY,
        platforms=[fleet.members[0].name],
    )
    world = msgspec.structs.replace(
        world,
        seed="demo",
        intel=msgspec.structs.replace(
            world.intel, numbers=_numbers(today), revocations=[revoked]
        ),
        platforms=[member.part for member in fleet.members],
        amd=world.amd
        and msgspec.structs.replace(world.amd, limit=LimitPart(requests=0)),
        chips=list(fleet.chips),
    )
    check_sense(world, "demo")
    return world


def _numbers(today: datetime.datetime) -> list[NumberPart]:
    def ago(days: int) -> datetime.datetime:
        return today - days * DAY

    return [
        NumberPart(
            number=17,
            recovery_event=ago(900),
            standard=ago(720),
            withdrawn=ago(30),
        ),
        NumberPart(number=18, recovery_event=ago(650), standard=ago(470)),
        NumberPart(number=19, recovery_event=ago(470), standard=ago(290)),
        NumberPart(
            number=STANDARD, recovery_event=ago(380), standard=ago(PROMOTED)
        ),
        NumberPart(number=21, recovery_event=ago(200), standard=ago(-160)),
        NumberPart(
            number=NEWEST, recovery_event=ago(PUBLISHED), standard=ago(-360)
        ),
    ]
