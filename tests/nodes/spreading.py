"""
How long it takes until every worker of every node serves an accepted CRL.
"""

from __future__ import annotations

import contextlib
import datetime
import http.client
import threading
import time

from typing import Final

from tests.nodes.load import find_issued
from tests.nodes.world import PORT, World, await_so


_CRL: Final = "/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
_DAY: Final = datetime.timedelta(days=1)
#: So many connections to each node: both of two workers have some.
_CONNECTIONS: Final = 8
#: When the head was moved, by the clock of this machine.
_ACCEPTED: Final = """
    SELECT m.at / 1e6
      FROM changes m JOIN heads h ON m.key = '[' || h.series_id || ']'
      JOIN series s ON s.id = h.series_id
     WHERE m.name = 'heads' AND s.kind = 'pck-crl' AND s.subject = 'platform'
     ORDER BY m.position DESC LIMIT 1
"""


class _Watcher(threading.Thread):
    """Asks on one connection until it gets the CRL of a day."""

    def __init__(self, address: str, day: datetime.date) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._day = day
        self.seen = 0.0

    def run(self) -> None:
        """
        Ask.
        """
        connection = http.client.HTTPConnection(self._address, PORT, timeout=60)
        with contextlib.closing(connection):
            while not self.seen:
                connection.request("GET", _CRL)
                issued = find_issued(connection.getresponse().read())
                date = datetime.datetime.fromtimestamp(issued, datetime.UTC)
                if date.date() >= self._day:
                    self.seen = time.time()
                time.sleep(0.02)


def measure(world: World) -> list[float]:
    """
    Let a day pass, in which the vendor issues a CRL; return after how many
    seconds each of many connections to all nodes got it, sorted.
    """
    day = (world.vendors.clock() + _DAY).date()
    watchers = [
        _Watcher(node.address, day)
        for node in world.nodes
        for _ in range(_CONNECTIONS)
    ]
    for watcher in watchers:
        # Its thread begins where the one is that starts it.
        world.clients.submit(watcher.start).result()
    world.vendors.clock.advance(_DAY)
    await_so(lambda: all(w.seen for w in watchers), "all have the CRL")
    ((accepted,),) = world.query(_ACCEPTED)
    return sorted(w.seen - float(accepted) for w in watchers)
