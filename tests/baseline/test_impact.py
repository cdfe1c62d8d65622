import numpy
import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.baseline.fleets import (
    a_document,
    a_fleet,
    a_level,
    a_part,
    a_row,
    a_set,
    fleets,
    sets,
)
from thim.baseline import impact
from thim.baseline.impact import compare, evaluate
from thim.baseline.standing import Standing
from thim.errors import MalformedError
from thim.intel.evaluation import evaluate as evaluate_one
from thim.intel.evaluation import find_isv_level
from thim.intel.names import Tee
from thim.intel.tcb import IsvLevel, TcbStatus


UP, OUT = TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE
HARDENING = TcbStatus.SW_HARDENING_NEEDED
CONFIGURATION = TcbStatus.CONFIGURATION_NEEDED
REVOKED = TcbStatus.REVOKED


def judge_one(fleet, row, tee, documents):
    """
    Tell how a row stands as verifying a quote tells it, step by step.
    """
    if tee is Tee.TDX and row >= fleet.with_tdx:
        return Standing.NO_TDX_SVNS
    document = documents.tcb_infos.get((tee, fleet.fmspc(row)))
    if document is None:
        return Standing.NO_DOCUMENT
    tcb = fleet.tcb(row, tee)
    qe: IsvLevel | None = IsvLevel(isvsvn=0, status=UP, tcb_date=None)
    svn = fleet.qe_svn(row, tee)
    if svn is not None:
        if tee not in documents.identities:
            return Standing.NO_DOCUMENT
        qe = find_isv_level(documents.identities[tee], svn)
    module, has_module = None, bool(tcb.tdx and tcb.tdx[1])
    if has_module:
        levels = document.module_levels(tcb.tdx[1])
        module = find_isv_level(levels, tcb.tdx[0])
    found = evaluate_one(
        document.table.find(tcb), qe, module, has_module=has_module
    )
    return Standing.of(found.status)


class TestEvaluate:
    @settings(max_examples=60, deadline=None)
    @given(fleets(), sets())
    def test_as_one_by_one(self, fleet, documents):
        """
        Each row stands as a quote of that platform would.
        """
        found = evaluate(fleet, documents)

        for tee in Tee:
            expected = [
                judge_one(fleet, row, tee, documents)
                for row in range(len(fleet))
            ]
            assert expected == found.of(tee).tolist()

    @pytest.mark.parametrize("count", [1, 16, 17, 32, 33, 64])
    def test_many_levels(self, count):
        """
        As many levels are told apart as a mask has bits, and what is beneath
        all of them.
        """
        levels = [
            a_level(UP if i % 2 else OUT, sgx=i + 1) for i in range(count)
        ]
        fleet = a_fleet(*(a_row(sgx=i) for i in range(count + 1)))

        found = evaluate(fleet, a_set(a_document(levels)))

        expected = [Standing.BELOW_EVERY_LEVEL]
        expected += [Standing.of(level.status) for level in levels]
        assert expected == found.sgx.tolist()

    def test_too_many_levels(self):
        """
        More levels than a mask has bits are refused, not cut off.
        """
        levels = [a_level(UP, sgx=i) for i in range(65)]

        with pytest.raises(MalformedError, match="65 TCB levels, expected at"):
            a_document(levels)

    def test_chunks(self):
        """
        More rows than are looked up at a time are judged as well, also where
        a run ends amidst.
        """
        count = 2 * impact._CHUNK + 3
        fleet = a_fleet(*(a_row(sgx=i % 3, place=i % 2) for i in range(count)))
        documents = a_set(
            a_document([a_level(UP, sgx=2), a_level(OUT, sgx=1)]),
            a_document([a_level(HARDENING, sgx=1)], place=1),
        )

        found = numpy.bincount(evaluate(fleet, documents).sgx)

        third = numpy.array(
            [fleet.tcb(i, Tee.SGX).sgx[0] for i in range(count)]
        )
        assert count == found.sum()
        assert (third == 0).sum() == found[Standing.BELOW_EVERY_LEVEL]

    def test_qe_not_known(self):
        """
        Where the SVN of the quoting enclave is not known, the platform's
        level is what is told.
        """
        fleet = a_fleet(a_row(qe=5), a_row(qe=4), a_row(qe=-1))
        documents = a_set(
            a_document([a_level(HARDENING)]),
            SGX=[a_part(UP, 5), a_part(OUT, 1)],
        )

        assert [
            Standing.SW_HARDENING_NEEDED,
            Standing.OUT_OF_DATE,
            Standing.SW_HARDENING_NEEDED,
        ] == evaluate(fleet, documents).sgx.tolist()

    def test_no_identity(self):
        """
        Without an identity nobody can say of a quoting enclave that is known.
        """
        fleet = a_fleet(a_row(qe=5), a_row(qe=-1))

        found = evaluate(fleet, a_set(a_document([a_level(UP)])))

        expected = [Standing.NO_DOCUMENT, Standing.UP_TO_DATE]
        assert expected == found.sgx.tolist()

    def test_empty(self):
        """
        A fleet without platforms is judged as well.
        """
        assert 0 == len(evaluate(a_fleet(), a_set()).sgx)


class TestCompare:
    def test_flips(self):
        """
        A flip is what is acceptable before and is not after; any other change
        is a change only.
        """
        rows = [a_row(sgx=i) for i in range(6)]
        statuses = [
            (OUT, UP),
            (UP, HARDENING),
            (UP, OUT),
            (HARDENING, CONFIGURATION),
            (OUT, REVOKED),
            (UP, UP),
        ]
        before, after = (
            a_set(
                a_document(
                    [a_level(s[i], sgx=n) for n, s in enumerate(statuses)]
                )
            )
            for i in range(2)
        )

        found = compare(a_fleet(*rows), before, after)

        assert [2, 3] == found.flips(Tee.SGX).tolist()
        assert [0, 1, 2, 3, 4] == found.changed(Tee.SGX).tolist()
        assert {
            (Standing.of(one), Standing.of(other)): 1 for one, other in statuses
        } == found.counts(Tee.SGX)

    def test_no_document(self):
        """
        What a number has no document for is not acceptable under it.
        """
        before = a_set(a_document([a_level(UP)]))

        found = compare(a_fleet(a_row()), before, a_set())

        assert [0] == found.flips(Tee.SGX).tolist()
        assert {(Standing.NO_TDX_SVNS, Standing.NO_TDX_SVNS): 1} == (
            found.counts(Tee.TDX)
        )

    @settings(max_examples=10, deadline=None)
    @given(fleets(), sets(), st.data())
    def test_counts(self, fleet, before, data):
        """
        Each row is counted once.
        """
        found = compare(fleet, before, data.draw(sets()))

        for tee in Tee:
            assert len(fleet) == sum(found.counts(tee).values())
