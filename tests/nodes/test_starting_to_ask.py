"""
A node that asks vendors, and starts without its ledger.
"""

import contextlib

from datetime import timedelta

from tests.nodes.node import AWAY, TCB, await_so, learn, node
from tests.postgresql import needs_postgresql, own_server
from tests.services.made import INTEL, NOW
from thim.collateral.records import pck_crl_key
from thim.collateral.targets import Target
from thim.intel.names import PckCa
from thim.services.vendors import FillMode, VendorSettings
from thim.store.agenda import Settlement
from thim.store.founding import make_ledger, provide_replica
from thim.store.ledger import Ledger
from thim.store.postgresql import engine_at
from thim.store.replica import Replica
from thim.store.watch import Watch
from thim.upstream.model import Upstream


pytestmark = needs_postgresql
DAY = timedelta(days=1)
CRL = Target(key=pck_crl_key(PckCa.PLATFORM))
#: Nobody is there.
NOBODY = "http://127.0.0.1:9"
VENDORS = VendorSettings(
    upstreams=(Upstream(url=NOBODY, static_url=NOBODY),), mode=FillMode.LAZY
)


def fail(store):
    """
    Have no answer for a document, so that it is left alone for long.
    """
    with Ledger(store, INTEL.anchors) as ledger:
        ledger.agenda.promise({CRL: NOW})
        ledger.agenda.claim(CRL, "other", now=NOW, until=NOW + DAY)
        missed = Settlement(due=NOW + 9 * DAY, answered=False, reason="timeout")
        ledger.agenda.settle(CRL, "other", missed, now=NOW)


def find_due(store):
    """
    Find when that document is asked for.
    """
    with contextlib.closing(Replica(store)) as replica:
        return {p.target: p.due for p in Watch(replica).progress()}[CRL]


def test_begins_later(tmp_path):
    """
    While PostgreSQL is away a node that asks vendors starts and serves what
    its replica has; what had failed before is asked for when PostgreSQL is
    back, as it is at each start.
    """
    store = tmp_path / "thim.db"
    with own_server() as server:
        address = server.new_database()
        make_ledger(address, INTEL.anchors)
        provide_replica(store, address)
        learn(store)
        fail(store)
        planned = find_due(store)
        engine_at(address).dispose()
        server.stop(at_once=True)
        with node(store, address, vendors=VENDORS) as served:
            await_so(lambda: AWAY in served.get(TCB))
            got = served.get(TCB)
            server.start(fsync="off")
            await_so(lambda: find_due(store) < NOW + DAY)
        engine_at(address).dispose()

    assert NOW + 9 * DAY == planned
    assert (200, "away") == (got.status, got[AWAY])
