"""
How one platform stands for its tenants: as it does in its fleet.
"""

import contextlib

import pytest

from tests.fleet_tcbs import tell
from tests.platforms import FMSPC, NOW, entry, tcbm
from tests.services.made import fill
from tests.services.test_fleet import GOOD, SHORT, TDX, documents
from tests.tenants import Decisions
from thim.baseline.impact import evaluate
from thim.intel.names import Tee
from thim.services.fleet import DocumentReader
from thim.services.platform_standing import find_tcb, list_standings
from thim.store.fleet_view import FleetView
from thim.store.pck import PckReader
from thim.store.replica import Replica


LOW = tcbm(*[1] * 16, pcesvn=1)
OTHER = bytes.fromhex("00806F050000")
HIGH = bytes([6] * 16)


@pytest.fixture
def fleet(ledger, store, intel):
    """
    Put platforms of all kinds into a store with two numbers; return the IDs
    by names.
    """
    fill(
        ledger,
        *documents(intel, 17, sgx=3),
        *documents(intel, 18, sgx=4, qe=9, module=6),
        now=NOW,
    )
    raw = {
        "good": GOOD,
        "short": SHORT,
        "low": LOW,
        "td": GOOD,
        "new": SHORT,
        "moved": SHORT,
        "strange": GOOD,
    }
    entries = {
        name: entry(intel, name, one, raw=(one,), name=name, labels={"n": name})
        for name, one in raw.items()
    }
    entries["unsure"] = entry(
        intel, "unsure", GOOD, raw=(SHORT,), name="unsure"
    )
    entries["old"] = entry(intel, "old", SHORT, GOOD, name="old")
    ledger.platforms.enter(list(entries.values()), NOW)
    qe_ids = {name: one.id.qe_id for name, one in entries.items()}
    svns = {"tee_tcb_svn": TDX, "qe_svn": 8, "td_qe_svn": 9}
    tell(store, qe_ids["td"], FMSPC, NOW, **svns)
    strange = {**svns, "tee_tcb_svn": bytes([5, 3, *[5] * 14]), "qe_svn": 0}
    tell(store, qe_ids["strange"], FMSPC, NOW, **strange)
    for name, fmspc in (("new", FMSPC), ("moved", OTHER), ("unsure", OTHER)):
        told = {"components": HIGH, "pcesvn": 11}
        tell(store, qe_ids[name], fmspc, NOW, **told)
    Decisions().tenant("before", "17").tenant("after", "18").tenant(
        "none", "99"
    ).tenant("some", "18", labels={"n": "good"}).write(store, intel.anchors)
    return {name: one.id for name, one in entries.items()}


NAMES = (
    "good",
    "short",
    "low",
    "td",
    "new",
    "moved",
    "strange",
    "unsure",
    "old",
)


class TestStanding:
    @pytest.mark.parametrize("name", NAMES)
    def test_as_in_fleet(self, fleet, store, name):
        """
        A platform stands as the whole fleet's arrays say of it.
        """
        with contextlib.closing(Replica(store)) as replica:
            platform = PckReader(replica).find_platform(fleet[name])
            assert platform is not None
            tcb = find_tcb(replica, platform)
            assert tcb is not None
            found = {
                (s.tenant, s.tee): s.standing
                for s in list_standings(replica, platform, tcb, NOW)
            }
            whole = FleetView(replica).load(NOW)
            row = whole.keys.tolist().index(platform.row)
            expected = {}
            for tenant, number in (("before", 17), ("after", 18)):
                read = DocumentReader(replica).read(number, whole.fmspcs)
                standings = evaluate(whole, read)
                for tee in Tee if row < whole.with_tdx else (Tee.SGX,):
                    expected[tenant, tee] = standings.of(tee)[row]

        assert expected == {
            key: standing
            for key, standing in found.items()
            if key[0] in {"before", "after"}
        }

    def test_why(self, fleet, store):
        """
        What is behind is told with what mends it.
        """
        with contextlib.closing(Replica(store)) as replica:
            platform = PckReader(replica).find_platform(fleet["short"])
            tcb = find_tcb(replica, platform)
            standings = list_standings(replica, platform, tcb, NOW)
            why = {s.tenant: [f.found for f in s.findings] for s in standings}

        assert {"before": [], "after": ["3"], "root": ["3"]} == why

    def test_whose(self, fleet, store):
        """
        Only tenants that have the platform, and a number, have a say.
        """
        with contextlib.closing(Replica(store)) as replica:
            platform = PckReader(replica).find_platform(fleet["good"])
            tcb = find_tcb(replica, platform)
            found = list_standings(replica, platform, tcb, NOW)

        assert {"root", "before", "after", "some"} == {s.tenant for s in found}

    def test_unknown(self, ledger, store, intel):
        """
        Of a platform that gets no certificate at its TCB nothing is known.
        """
        one = entry(intel, "one", GOOD, raw=(LOW,))
        ledger.platforms.enter([one], NOW)
        with contextlib.closing(Replica(store)) as replica:
            platform = PckReader(replica).find_platform(one.id)

            assert find_tcb(replica, platform) is None
