"""
A look at one service, from the test's own process.
"""

from __future__ import annotations

import asyncio
import dataclasses

from typing import Any

from tests.client.fake import faking, replaying
from tests.http.conftest import NOW
from tests.serving import Served
from thim.client.doctor.looks import examine_all
from thim.client.doctor.model import Found, Kind, Target
from thim.client.doctor.questions import Wish
from thim.services.clock import utc_now


#: For a step that somebody keeps waiting.
SECONDS = 0.5


def make_wish(intel: Any, **changes: Any) -> Wish:
    """
    Make a wish by the clock of the tests, and with room for a busy machine.
    """
    values = {
        "now": NOW,
        "clock": utc_now(),
        "anchors": intel.anchors,
        "seconds": 20.0,
        **changes,
    }
    return Wish(**values)


def target(url: str, kind: Kind = Kind.OTHER, **changes: Any) -> Target:
    """
    Make a target that somebody named by hand.
    """
    return dataclasses.replace(
        Target(url=url, by="--url", kind=kind), **changes
    )


def look(wish: Wish, *targets: Target) -> Found:
    """
    Look at *targets*.
    """
    return asyncio.run(examine_all(targets, wish))


def names(found: Found) -> list[tuple[str, str]]:
    """
    Return levels and names of what was found.
    """
    return [(t.level.word, t.name) for t in found.troubles]


def facts(found: Found) -> dict[str, str]:
    """
    Return all facts.
    """
    return {name: v for s in found.sections for name, v in s.facts}


def changed(served: Served, wish: Wish, *, paths: Any, **changes: Any) -> Found:
    """
    Look at the service *served* where its answers are changed by path.
    """
    with faking(replaying(served, paths)) as fake:
        return look(wish, target(fake.url, **changes))
