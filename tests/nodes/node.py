"""
A node in the test's own process, and what its clients know by.
"""

from __future__ import annotations

import contextlib
import time

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.services.made import INTEL, NOW, fill
from tests.serving import Served, serving
from thim.simulate.clock import Clock
from thim.store.follow import Follower
from thim.store.ledger import Ledger


TCB: Final = "/sgx/certification/v4/tcb?fmspc=00606A000000"
AWAY: Final = "thim-replica"


@contextlib.contextmanager
def node(
    store: Path, address: str, name: str = "n1", **settings: Any
) -> Iterator[Served]:
    """
    Serve a replica of the ledger at *address* until the end of the ``with``,
    by other *settings* too.
    """
    with serving(
        store,
        Clock(NOW, frozen=True),
        anchors=INTEL.anchors,
        ledger=address,
        node_name=name,
        **settings,
    ) as served:
        yield served


def learn(store: Path, fmspc: str = "00606A000000") -> None:
    """
    Have a document taken in.
    """
    with Ledger(store, INTEL.anchors) as ledger:
        fill(ledger, INTEL.tcb_info(fmspc=fmspc))


def follow(store: Path, address: str) -> None:
    """
    Bring a replica to what its ledger is now.
    """
    with Follower(store, address) as follower:
        follower.catch_up()


def is_same(store: Path, address: str) -> bool:
    """
    Tell whether a replica's heads are its ledger's.
    """
    with Follower(store, address) as follower:
        return follower.is_same()


def await_so(is_so: Callable[[], Any], seconds: float = 120) -> None:
    """
    Wait until something is so.
    """
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)
