"""
The corpus's quotes as evidence of a fleet's TCBs.
"""

import pytest

from tests.conformance.corpus import instant
from tests.conformance.quotes import entries, library
from thim.collateral.anchors import VENDOR_ROOTS
from thim.collateral.fleet_tcbs import stand_in
from thim.errors import MalformedError, UntrustedError
from thim.intel.names import Tee
from thim.intel.pck_chain import read_pck
from thim.intel.quote import Quote
from thim.services.fleet_import import Told, read_evidence


pytestmark = pytest.mark.skipif(
    not library().entries, reason="the corpus is not there"
)
#: Genuine: it is read in another order by other verifiers only.
GENUINE = "7d63357d"


def read(entry, now):
    """
    Read a file of the corpus at an instant.
    """
    told = Told(source=entry["name"], name=None, now=now)
    return read_evidence(told, library().bytes(entry["name"]), VENDOR_ROOTS)


def authentic():
    """
    The quotes that bring their PCK certificate, and when that was valid.
    """
    for entry in entries():
        quote = Quote(library().bytes(entry["name"]))
        if quote.pck_name is None:
            pck = read_pck(quote.certification_data)
            yield entry, quote, pck


def test_authentic():
    """
    All authentic quotes are taken, and tell what their certificates say.
    """
    count = 0
    for entry, quote, pck in authentic():
        found = read(entry, pck.not_before)

        assert (pck.fmspc, pck.components, pck.pcesvn) == (
            found.fmspc,
            found.components,
            found.pcesvn,
        )
        assert pck.pce_id == found.id.pce_id
        assert (quote.tee is Tee.TDX) == (found.tee_tcb_svn is not None)
        count += 1
    assert 100 < count


def test_stand_ins():
    """
    Where quotes name no QE ID, those of one machine have the same stand-in,
    which shows nothing of its PPID.
    """
    found: dict[bytes, set[bytes]] = {}
    for entry, quote, pck in authentic():
        if not any(quote.qe_id):
            qe_id = read(entry, pck.not_before).id.qe_id
            assert stand_in(pck.ppid) == qe_id
            assert qe_id != pck.ppid
            found.setdefault(pck.ppid, set()).add(qe_id)
    assert found
    assert {1} == {len(each) for each in found.values()}
    assert len(found) == len(set.union(*found.values()))


def test_negative():
    """
    All that must be refused is.
    """
    refused = 0
    for entry in entries("negative-quote"):
        if entry["name"].endswith(f"{GENUINE}.bin"):
            continue
        now = instant(entry.get("now", "2026-01-01T00:00:00+00:00"))
        with pytest.raises((MalformedError, UntrustedError)):
            read(entry, now)
        refused += 1
    assert 18 == refused
