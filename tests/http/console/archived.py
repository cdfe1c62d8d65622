"""
A store with documents that have a history, and a console over it.
"""

from __future__ import annotations

import contextlib
import datetime

from collections.abc import Iterator
from pathlib import Path

from tests.http.administration import Administered, administered
from tests.http.console.visitor import Visitor
from tests.platforms import NOW
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.services.ingest import Outcome, ingest
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


FMSPC = "00906ED50000"
DOCUMENT = f"intel/tcb-info/sgx:{FMSPC}/3"
#: Number to TCB recovery event, as the newest list has them.
EVENTS = {
    20: NOW - datetime.timedelta(days=60),
    19: NOW - datetime.timedelta(days=240),
    18: NOW - datetime.timedelta(days=600),
}


def day(n: float) -> datetime.datetime:
    """
    Return the instant *n* days after now.
    """
    return NOW + datetime.timedelta(days=n)


def level(status: str, *advisories: str, svn: int = 4) -> dict[str, object]:
    """
    A level of a TCB info.
    """
    return {
        "tcb": {"sgxtcbcomponents": [{"svn": svn}] * 16, "pcesvn": 11},
        "tcbDate": "2024-03-13T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": list(advisories),
    }


#: What the numbers say of the same platform.
LEVELS = {
    18: [level("UpToDate")],
    19: [level("UpToDate")],
    20: [
        level("UpToDate", svn=5),
        level("OutOfDate", "INTEL-SA-00615", "INTEL-SA-09999"),
    ],
}


def list_bodies(intel: Intel) -> list[bytes]:
    """
    Return documents of three numbers, of which 18 is withdrawn and has a hole
    in its history, and that of 20 is stale.
    """
    bodies = [intel.root_crl(issued=day(-1))]
    bodies += [intel.pck_crl(ca=ca, issued=day(-2)) for ca in PckCa]
    for tee in Tee:
        bodies.append(intel.numbers(tee=tee, numbers=EVENTS, issued=day(-90)))
        newest = {n: EVENTS[n] for n in (19, 20)}
        bodies.append(intel.numbers(tee=tee, numbers=newest, issued=day(-5)))
    issued = {18: (-200, -150, -125), 19: (-40, -12), 20: (-25,)}
    for number, days in issued.items():
        for n in days:
            common = {"number": number, "issued": day(n)}
            bodies += [intel.identity(kind=k, **common) for k in EnclaveKind]
            changes = {"tcbLevels": LEVELS[number]}
            bodies.append(
                intel.tcb_info(fmspc=FMSPC, changes=changes, **common)
            )
    return bodies


@contextlib.contextmanager
def archived(intel: Intel, folder: Path) -> Iterator[Administered]:
    """
    Serve a store with those documents.
    """
    with administered(intel, folder) as running:
        with Ledger(running.store, intel.anchors) as ledger:
            take(ledger, intel, *list_bodies(intel))
            for update, number in (
                (Update.STANDARD, 19),
                (Update.EARLY, 20),
            ):
                ledger.observe_channel(
                    update, number, source="test", seen=day(-30)
                )
        yield running


def take(ledger: Ledger, intel: Intel, *bodies: bytes) -> None:
    """
    Take documents in, all of which are welcome.
    """
    files = [("ca.pem", to_pem(intel.certificates))]
    files += [(f"vendor/{n}.json", body) for n, body in enumerate(bodies)]
    for result in ingest(files, ledger=ledger, now=NOW):
        is_welcome = result.outcome is not Outcome.REFUSED
        assert is_welcome or result.reason == "revoked", result


def log_in(running: Administered, role: str = "reader") -> Visitor:
    """
    Return somebody with the token of a *role*.
    """
    visitor = Visitor(running.served)
    visitor.log_in(running.tokens[role])
    return visitor
