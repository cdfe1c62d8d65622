"""
The quotes of the corpus as a fleet: who is acceptable under one TCB evaluation
data number, and not under the next.
"""

import numpy
import pytest

from tests.conformance.quotes import entries, library, read
from thim.baseline.documents import DocumentSet, TcbDocument
from thim.baseline.fleet import Columns, Fleet
from thim.baseline.impact import compare, evaluate
from thim.baseline.standing import Standing
from thim.intel.names import Tee
from thim.intel.pck_chain import read_pck
from thim.services.fleet import what_if
from thim.simulate.pki import ISSUED


FMSPC = bytes.fromhex("00606A000000")
DAY = "2025-06-06"
NUMBERS = (17, 18, 19)
#: What those lack that flip.
SHORT = {
    "SGX component 1 (BIOS, Early Microcode Update)",
    "SGX component 2 (OS/VMM, SGX Late Microcode Update)",
}

pytestmark = pytest.mark.skipif(
    not library().entries, reason="the corpus is not there"
)


@pytest.fixture(scope="module")
def documents():
    """
    The TCB infos of that day, by number.
    """
    found = {}
    for entry in entries("intel-tcb-info"):
        if (
            entry["tee"] == "SGX"
            and entry["fmspc"].upper() == FMSPC.hex().upper()
            and entry["valid_from"].startswith(DAY)
            and entry["version"] == 3
        ):
            body = library().bytes(entry["name"])
            document = TcbDocument.from_json(body)
            number = entry["tcb_evaluation_data_number"]
            found[number] = DocumentSet(
                number=number,
                tcb_infos={(Tee.SGX, FMSPC): document},
                identities={},
            )
    assert set(NUMBERS) <= set(found)
    return found


@pytest.fixture(scope="module")
def quotes():
    """
    The names of the quotes of that FMSPC, and their PCK certificates.
    """
    found = {}
    for entry in entries():
        if entry.get("fmspc", "").upper() == FMSPC.hex().upper():
            quote = read(entry["name"])
            if quote.pck_name is None:
                found[entry["name"]] = read_pck(quote.certification_data)
    assert found
    return found


@pytest.fixture(scope="module")
def fleet(quotes):
    """
    Their platforms, one for each quote.
    """
    count = len(quotes)
    packed = b"".join(pck.components for pck in quotes.values())
    columns = Columns(
        fmspcs=(FMSPC,),
        keys=numpy.arange(count),
        fmspc=numpy.zeros(count, "u2"),
        sgx=numpy.frombuffer(packed, "u1").reshape(-1, 16),
        pcesvn=numpy.array([pck.pcesvn for pck in quotes.values()], "u2"),
        has_tdx=numpy.zeros(count, "?"),
        tdx=numpy.zeros((count, 16), "u1"),
        qe=numpy.full(count, -1),
        td_qe=numpy.full(count, -1),
        rows=numpy.arange(count),
    )
    return Fleet.from_columns(columns, taken=ISSUED)


@pytest.mark.parametrize("number", NUMBERS)
def test_standing(fleet, quotes, documents, number):
    """
    Each stands at its platform's level.
    """
    table = documents[number].tcb_infos[Tee.SGX, FMSPC].table
    levels = (table.find(pck.tcb) for pck in quotes.values())
    expected = [Standing.of(level and level.status) for level in levels]

    assert expected == evaluate(fleet, documents[number]).sgx.tolist()


@pytest.mark.parametrize(("number", "needed"), [(18, "15"), (19, "16")])
def test_flips(fleet, quotes, documents, number, needed):
    """
    Those that flip are named, with the component that is short.
    """
    before, after = documents[17], documents[number]
    names = list(quotes)

    found = what_if(
        fleet,
        before,
        after,
        lambda keys: [names[key] for key in keys],
        limit=1000,
    )

    tables = [each.tcb_infos[Tee.SGX, FMSPC].table for each in (before, after)]
    expected = [
        name
        for name, pck in quotes.items()
        if ["SWHardeningNeeded", "OutOfDate"]
        == [table.find(pck.tcb).status.value for table in tables]
    ]
    assert expected
    assert expected == [flip.name for flip in found.flips]
    for flip in found.flips:
        assert SHORT == {each.component for each in flip.findings}
        assert {needed} == {each.needed for each in flip.findings}


def test_nothing_changes(fleet, documents):
    """
    Against itself a number changes nothing.
    """
    found = compare(fleet, documents[18], documents[18])

    assert 0 == len(found.changed(Tee.SGX))
