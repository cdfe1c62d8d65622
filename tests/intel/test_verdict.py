"""
What a verdict says beside the status.
"""

import pytest

from tests.intel.levels_made import UP, status
from tests.intel.quotes_made import (
    END,
    INTEL,
    KINDS,
    NOW,
    PLATFORM,
    SECOND,
    TDX_KINDS,
    chain_pem,
    good,
    make,
    make_td,
    verify,
    why,
)
from thim.intel.report_body import Td10Body
from thim.intel.steps import Finding, Step
from thim.intel.verdict import Verdict
from thim.simulate.documents import ISSUED
from thim.simulate.pck import issue_pck_certificate
from thim.simulate.quote import (
    SgxBody,
    TdBody15,
)


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


class TestDates:
    def test_earliest_of_the_documents(self, kind):
        """
        A verdict holds until the first document ends, or the PCK chain.
        """
        assert END == verify(kind).earliest_expiry

        sooner = INTEL.pck_crl(next_update=NOW + SECOND)
        verdict = verify(kind, pck_crl=sooner)
        assert NOW + SECOND == verdict.earliest_expiry

    def test_earliest_is_the_chain(self, kind):
        """
        A PCK certificate that ends before all documents counts.
        """
        end = NOW + 5 * SECOND
        leaf = issue_pck_certificate(INTEL, PLATFORM, until=end)
        raw = make(kind, certification_data=chain_pem(leaf=leaf))

        assert end == verify(kind, raw).earliest_expiry

    def test_failed(self, kind):
        """
        For a quote that failed, the documents decide alone; without any
        there is nothing to say.
        """
        verdict = verify(kind, good(kind)[:-1] + b"\1")

        assert END == verdict.earliest_expiry
        bare = Verdict(verdict.quote, NOW, None, verdict.failure, None)
        assert None is bare.earliest_expiry
        assert ((), ()) == (bare.expired, bare.notes)
        assert (verdict.failure,) == bare.findings

    def test_at_the_end(self, kind):
        """
        At the very instant of the next update nothing has expired.
        """
        verdict = verify(kind, now=END)

        assert UP == status(verdict)
        assert ((), ()) == (verdict.expired, verdict.notes)

    def test_past_the_end(self, kind):
        """
        One second later everything has, and the verdict says so: the quote is
        as authentic and as good as before.
        """
        verdict = verify(kind, now=END + SECOND)

        assert UP == status(verdict)
        names = ["tcb-info", "identity", "pck-crl", "root-ca-crl"]
        assert names == [used.name for used in verdict.expired]
        assert names == [note.component for note in verdict.notes]
        assert {"expired"} == {note.reason for note in verdict.notes}

    def test_only_one(self, kind):
        """
        Only what has expired is told, for a quote that fails too.
        """
        old = INTEL.root_crl(next_update=ISSUED + SECOND)

        for raw in (good(kind), good(kind)[:-1] + b"\1"):
            verdict = verify(kind, raw, root_ca_crl=old)
            assert ["root-ca-crl"] == [used.name for used in verdict.expired]
            assert [Step.CRLS] == [note.step for note in verdict.notes]


class TestFailed:
    def test_nothing_is_claimed(self, kind):
        """
        Of a quote that failed nothing is said but where and why.
        """
        verdict = verify(kind, good(kind)[:-1] + b"\1")

        assert (Step.PCK_CHAIN, "pck-chain") == why(verdict)
        assert isinstance(verdict.failure, Finding)
        assert None is verdict.tcb is verdict.tcb_date
        assert () == verdict.advisory_ids


class TestFacts:
    """
    What no verification depends on.
    """

    @pytest.mark.parametrize("flags", [5, 7])
    def test_debug_of_an_enclave(self, flags):
        """
        An enclave under debug is authentic, and known as such.
        """
        body = SgxBody(attributes=bytes([flags]) + bytes(15))

        verdict = verify("v3", make("v3", body=body))

        assert UP == status(verdict)
        assert (flags == 7) == verdict.debug

    @pytest.mark.parametrize("kind", TDX_KINDS)
    @pytest.mark.parametrize("bit", range(64))
    def test_debug_of_a_td(self, kind, bit):
        """
        So is a TD, by any of the bits that may put it under debug.
        """
        raw = make_td(kind, td_attributes=(1 << bit).to_bytes(8, "little"))

        verdict = verify(kind, raw)

        assert UP == status(verdict)
        assert (bit < 8) == verdict.debug
        body = verdict.quote.body
        assert isinstance(body, Td10Body)
        assert (bit == 28) == body.sept_ve_disable

    def test_service_td(self):
        """
        A service TD that is bound to a TD is a fact.
        """
        bound = TdBody15(mrservicetd=bytes(47) + b"\1")

        assert None is verify("v5").service_td
        found = verify("v5", make("v5", body=bound)).service_td
        assert bytes(47) + b"\1" == found

    @pytest.mark.parametrize("kind", ["v3", "v4"])
    def test_no_service_td(self, kind):
        """
        Other reports do not speak of any.
        """
        assert None is verify(kind).service_td
