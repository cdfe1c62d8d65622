"""
What other collateral would make of a fleet: who flips, and why.
"""

import datetime

import pytest

from tests.fleet_tcbs import tell
from tests.intel.levels_made import OUT, UP, level, part
from tests.platforms import FMSPC, NOW, entry, tcbm
from tests.services.made import fill
from thim.baseline.standing import Standing
from thim.errors import NotFoundError
from thim.intel.names import EnclaveKind, Tee
from thim.intel.steps import Remedy, Step
from thim.services.fleet import DocumentReader, what_if
from thim.store.fleet_view import FleetView


GOOD, SHORT = tcbm(*[4] * 16), tcbm(3, *[4] * 15)
ISSUED = NOW - datetime.timedelta(days=2)
TDX = bytes([5, 1, *[5] * 14])
OTHER = bytes.fromhex("00806F050000")


def documents(intel, number, sgx, qe=8, module=4):
    """
    Issue the documents of *number*: the first SGX component must have the SVN
    *sgx*, the quoting enclaves *qe* and the TDX module *module*.
    """
    first = [level(UP, sgx=4, pcesvn=5, advisories=["INTEL-SA-00001"])]
    first[0]["tcb"]["sgxtcbcomponents"] = [{"svn": sgx}] + [{"svn": 4}] * 15
    levels = [*first, level(OUT, advisories=["INTEL-SA-00002"])]
    modules = [
        {
            "id": "TDX_01",
            "mrsigner": "00" * 48,
            "attributes": "00" * 8,
            "attributesMask": "FF" * 8,
            "tcbLevels": [part(UP, module), part(OUT, 1)],
        }
    ]
    common = {"number": number, "issued": ISSUED}
    for tee, changes in (
        (Tee.SGX, {}),
        (Tee.TDX, {"tdxModuleIdentities": modules}),
    ):
        yield intel.tcb_info(
            tee=tee, changes={"tcbLevels": levels, **changes}, **common
        )
    for kind in (EnclaveKind.QE, EnclaveKind.TD_QE):
        changes = {"tcbLevels": [part(UP, qe), part(OUT, 1)]}
        yield intel.identity(kind=kind, changes=changes, **common)


@pytest.fixture
def compared(ledger, replica, store, intel):
    """
    A fleet of three, and what becomes of it.
    """
    fill(
        ledger,
        *documents(intel, 17, sgx=3),
        *documents(intel, 18, sgx=4, qe=9, module=6),
        now=NOW,
    )
    entries = [
        entry(intel, "good", GOOD, raw=(GOOD,), name="good"),
        entry(intel, "short", SHORT, raw=(SHORT,), name="short"),
        entry(intel, "td", GOOD, raw=(GOOD,), name="td"),
    ]
    ledger.platforms.enter(entries, NOW)
    tell(
        store,
        entries[2].id.qe_id,
        FMSPC,
        NOW,
        tee_tcb_svn=TDX,
        qe_svn=8,
        td_qe_svn=9,
    )
    return compare(replica)


def compare(replica, **options):
    """
    Compare 18 with 17.
    """
    view, reader = FleetView(replica), DocumentReader(replica)
    fleet = view.load(NOW)
    before, after = (reader.read(n, fleet.fmspcs) for n in (17, 18))
    return what_if(fleet, before, after, view.names, **options)


class TestWhatIf:
    def test_who(self, compared):
        """
        It tells by name who flips, and for what.
        """
        assert [
            ("td", Tee.SGX, True),
            ("short", Tee.SGX, False),
            ("td", Tee.TDX, True),
        ] == [(f.name, f.tee, f.is_qe_known) for f in compared.flips]
        for flip in compared.flips:
            assert Standing.UP_TO_DATE is flip.before
            assert Standing.OUT_OF_DATE is flip.after
            assert FMSPC == flip.fmspc

    def test_why(self, compared):
        """
        It tells what each of them lacks, by how much, and what mends it.
        """
        qe, component, module = (f.findings for f in compared.flips)

        (found,) = component
        assert found.component.startswith("SGX component 1")
        assert ("3", "4") == (found.found, found.needed)
        assert ("INTEL-SA-00002",) == found.advisory_ids
        assert Remedy.FIRMWARE is found.remedy
        (found,) = qe
        assert (Step.QE_TCB, "8", "9") == (
            found.step,
            found.found,
            found.needed,
        )
        (found,) = module
        assert (Step.MODULE_TCB, "5", "6") == (
            found.step,
            found.found,
            found.needed,
        )

    def test_totals(self, compared):
        """
        It counts.
        """
        sgx, tdx = compared.tees
        assert (17, 18, 3, 0) == (
            compared.before,
            compared.after,
            compared.platforms,
            compared.unknown,
        )
        assert (3, 1, 2, 2) == (
            sgx.platforms,
            sgx.qe_known,
            sgx.flips,
            sgx.changed,
        )
        assert (1, 1, 1, 1) == (
            tdx.platforms,
            tdx.qe_known,
            tdx.flips,
            tdx.changed,
        )
        up, out = Standing.UP_TO_DATE, Standing.OUT_OF_DATE
        assert {(up, up): 1, (up, out): 2} == sgx.counts
        none = Standing.NO_TDX_SVNS
        assert {(up, out): 1, (none, none): 2} == tdx.counts

    def test_limit(self, compared, replica):
        """
        It names as many for each TEE as are asked for, and all of them one
        after the other.
        """
        limited = compare(replica, limit=1)

        assert ["td", "td"] == [flip.name for flip in limited.flips]
        assert list(compared.flips) == list(limited.all_flips())

    def test_no_document(self, compared, replica):
        """
        Where the other number has no TCB info for a platform, that is what is
        told.
        """
        view, reader = FleetView(replica), DocumentReader(replica)
        fleet = view.load(NOW)

        found = what_if(
            fleet,
            reader.read(17, fleet.fmspcs),
            reader.read(18, ()),
            view.names,
        )

        assert 4 == len(found.flips)
        for flip in found.flips:
            assert Standing.NO_DOCUMENT is flip.after
            (finding,) = flip.findings
            assert "no-document" == finding.reason
            assert "number 18 is not in the archive" in finding.detail


class TestDocuments:
    def test_remembered(self, compared, replica):
        """
        What was read is not read again.
        """
        reader = DocumentReader(replica)

        first, second = (reader.read(17, [FMSPC]) for _ in range(2))

        assert 2 == len(first.tcb_infos)
        for key, document in first.tcb_infos.items():
            assert document is second.tcb_infos[key]
        assert first.identities == second.identities
        assert {Tee.SGX, Tee.TDX} == set(first.identities)

    def test_structure_2(self, ledger, replica, intel):
        """
        A TCB info of structure 2 will do where there is no other.
        """
        body = intel.tcb_info(structure=2, number=17, issued=ISSUED)
        fill(ledger, body, now=NOW)

        found = DocumentReader(replica).read(17, [FMSPC, OTHER])

        assert [(Tee.SGX, FMSPC)] == list(found.tcb_infos)
        assert {} == found.identities

    def test_at(self, compared, replica):
        """
        What was current at another instant may be asked for.
        """
        reader = DocumentReader(replica)

        assert reader.read(17, [FMSPC], NOW).tcb_infos
        with pytest.raises(NotFoundError, match="number 17: no document"):
            reader.read(17, [FMSPC], ISSUED - datetime.timedelta(days=1))

    def test_nothing(self, replica):
        """
        A number of which nothing is there is not known.
        """
        with pytest.raises(NotFoundError, match="number 99: no document of it"):
            DocumentReader(replica).read(99, [FMSPC])
