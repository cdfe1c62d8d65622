"""
Platforms and their PCK certificates, issued for real by a simulated Intel.
"""

from __future__ import annotations

import datetime
import hashlib

from typing import Any

from cryptography import x509

from thim.collateral.intake import Intake
from thim.collateral.pck_intake import PckVerifier
from thim.collateral.platforms import (
    Entry,
    PckRecord,
    PlatformId,
    RegisteredBy,
)
from thim.intel.names import Tee
from thim.intel.pck import PckTcbm
from thim.simulate.pck import Platform, issue_pck_certificate
from thim.simulate.pki import Intel


NOW = datetime.datetime(2026, 9, 1, 12, tzinfo=datetime.UTC)
FMSPC = bytes.fromhex("00606A000000")


def tcbm(*svns: int, pcesvn: int = 11) -> PckTcbm:
    """
    A TCB by its first components; the others are 0.
    """
    return PckTcbm(cpusvn=bytes(svns).ljust(16, b"\0"), pcesvn=pcesvn)


def platform_id(name: str, pce_id: bytes = b"\0\0") -> PlatformId:
    """
    The ID of the platform of a test that is called *name*.
    """
    qe_id = hashlib.sha256(name.encode()).digest()[:16]
    return PlatformId(qe_id, pce_id)


def issue(
    intel: Intel, name: str, at: PckTcbm, *, since: Any = None, **changes: Any
) -> x509.Certificate:
    """
    Issue a certificate of the platform *name* for the TCB *at*.
    """
    values = {"fmspc": FMSPC, **changes}
    platform = Platform(
        qe_id=platform_id(name).qe_id,
        cpusvn=at.cpusvn,
        pcesvn=at.pcesvn,
        **values,
    )
    dates = {} if since is None else {"since": since}
    return issue_pck_certificate(intel, platform, **dates)


def verifier(intel: Intel, now: datetime.datetime = NOW) -> PckVerifier:
    """
    Verifies what *intel* issues.
    """
    return PckVerifier(
        Intake(
            anchors=intel.anchors,
            known=intel.certificates,
            root_crl=None,
            now=now,
        )
    )


def records(
    intel: Intel, name: str, *at: PckTcbm, **changes: Any
) -> tuple[PckRecord, ...]:
    """
    The verified certificates of the platform *name* for some TCBs.
    """
    verify = verifier(intel).verify
    return tuple(verify(issue(intel, name, one, **changes)) for one in at)


def entry(
    intel: Intel,
    who: str,
    *at: PckTcbm,
    raw: tuple[PckTcbm, ...] = (),
    pce_id: bytes = b"\0\0",
    **changes: Any,
) -> Entry:
    """
    The platform *who* with certificates for the TCBs *at*, seen at *raw*.
    """
    values = {
        "registered_by": RegisteredBy.CERTIFICATES,
        "certificates": records(intel, who, *at) if at else (),
        "is_complete": True,
        **changes,
    }
    return Entry(id=platform_id(who, pce_id), raw_tcbs=raw, **values)


def tcb_info(intel: Intel, number: int, *floors: PckTcbm) -> bytes:
    """
    A TCB info whose levels ask for *floors*.
    """
    return intel.tcb_info(
        fmspc=FMSPC.hex(),
        tee=Tee.SGX,
        number=number,
        issued=NOW - datetime.timedelta(days=2),
        changes={
            "tcbLevels": [
                {
                    "tcb": {
                        "sgxtcbcomponents": [{"svn": s} for s in f.cpusvn],
                        "pcesvn": f.pcesvn,
                    },
                    "tcbDate": "2026-01-01T00:00:00Z",
                    "tcbStatus": "UpToDate",
                }
                for f in floors
            ]
        },
    )
