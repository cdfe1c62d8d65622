"""
What verifying a quote makes of named PCK certificates, of TCBs, and of what it
has verified before.
"""

import pytest

from tests.intel.quotes_made import (
    CHAIN,
    CHANGES,
    INTEL,
    KINDS,
    NEIGHBOUR,
    NOW,
    PLATFORM,
    REPORT,
    SECOND,
    TDX_KINDS,
    bind,
    chain_pem,
    flip,
    good,
    join,
    make,
    make_td,
    parts_of,
    sign_quote,
    verifier,
    verify,
    why,
)
from thim.intel.quote import Quote
from thim.intel.steps import Step
from thim.intel.tcb import TcbStatus
from thim.intel.verify import Memory, refute
from thim.simulate.documents import ISSUED
from thim.simulate.pck import Platform, issue_pck_certificate
from thim.simulate.quote import QuotingEnclave


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


class TestNamed:
    """
    Quotes that name their PCK certificate, and do not hold it.
    """

    @pytest.fixture(params=[(1, 16), (2, 256), (3, 384)])
    def raw(self, request, kind):
        """
        A quote of certification type 1, 2 or 3.
        """
        parts = parts_of(kind)
        parts.kind, size = request.param
        tcb = b"\4" * 16 + (11).to_bytes(2, "little")
        parts.certification_data = b"\x99" * size + tcb + b"\0\0"
        return join(parts)

    def test_with_its_chain(self, kind, raw):
        """
        With the chain of its own machine it verifies.
        """
        verdict = verify(kind, raw, pck_chain=chain_pem())

        assert None is why(verdict)
        assert TcbStatus.UP_TO_DATE is verdict.tcb_status

    def test_with_the_chain_of_another_machine(self, kind, raw):
        """
        With another machine's chain the QE's report is not the PCK's.
        """
        verdict = verify(kind, raw, pck_chain=chain_pem(NEIGHBOUR))

        assert REPORT == why(verdict)

    def test_after_its_own_chain(self, kind, raw):
        """
        What was learned with one chain is not believed with another.
        """
        judge = verifier(kind)
        quote = Quote(raw)

        assert None is why(judge.verify(quote, NOW, chain_pem()))
        assert REPORT == why(judge.verify(quote, NOW, chain_pem(NEIGHBOUR)))
        assert CHAIN == why(judge.verify(quote, NOW))
        assert None is why(judge.verify(quote, NOW, chain_pem()))

    def test_chain_beside_the_quotes_own(self, kind):
        """
        A quote that holds its chain is judged by that one.
        """
        verdict = verify(kind, pck_chain=chain_pem(NEIGHBOUR))

        assert None is why(verdict)


class TestTcb:
    """
    What is compared with the levels is the PCK certificate, the TD's report
    and the QE's; test_verdict_statuses.py has all statuses.
    """

    def test_machine(self, kind):
        """
        A machine with a lower TCB in its PCK certificate is at a lower level.
        """
        low = Platform(cpusvn=b"\2" * 16, pcesvn=10)

        verdict = verify(kind, make(kind, low))

        assert TcbStatus.OUT_OF_DATE is verdict.tcb_status

    def test_foreign_qe(self, kind):
        """
        What a QE must be is compared before anything is judged.
        """
        raw = make(kind, quoting_enclave=QuotingEnclave(isvprodid=3))

        assert (Step.QE_IDENTITY, "qe-isvprodid") == why(verify(kind, raw))

    def test_documents_of_the_future(self, kind):
        """
        Documents that are not issued yet judge nothing.
        """
        verdict = verify(kind, now=ISSUED - 301 * SECOND)

        assert (Step.TCB_INFO, "not-yet-issued") == why(verdict)

    @pytest.mark.parametrize(
        ("svns", "expected"),
        [
            # By a level of the module, and TDX components 3 to 16.
            ((4, 1, 5), TcbStatus.UP_TO_DATE),
            ((2, 1, 5), TcbStatus.OUT_OF_DATE),
            ((1, 1, 5), None),
            ((3, 3, 5), TcbStatus.UP_TO_DATE),
            ((4, 1, 4), TcbStatus.OUT_OF_DATE),
            ((4, 1, 2), None),
            # Version 0 has no module levels: all 16 components.
            ((5, 0, 5), None),
        ],
    )
    @pytest.mark.parametrize("kind", TDX_KINDS)
    def test_td(self, kind, svns, expected):
        """
        A TD is judged by the SVNs it was launched under.
        """
        svn, version, others = svns
        launch = bytes([svn, version]) + bytes([others] * 14)
        now = {"tee_tcb_svn_2": launch} if kind == "v5" else {}

        verdict = verify(kind, make_td(kind, tee_tcb_svn=launch, **now))

        assert None is why(verdict)
        assert expected is verdict.tcb_status

    @pytest.mark.parametrize("kind", TDX_KINDS)
    def test_module_of_version_0(self, kind):
        """
        For a module of version 0 the first two components count too.
        """
        levels = [
            {
                "tcb": {
                    "sgxtcbcomponents": [{"svn": 4}] * 16,
                    "pcesvn": 11,
                    "tdxtcbcomponents": [{"svn": svn}, *[{"svn": 0}] * 15],
                },
                "tcbDate": "2024-03-13T00:00:00Z",
                "tcbStatus": status,
            }
            for svn, status in ((5, "UpToDate"), (4, "OutOfDate"))
        ]
        changes = {"tcbLevels": levels}

        found = []
        for svn in (5, 4, 3):
            svns = {"tee_tcb_svn": bytes([svn, 0]) + bytes(14)}
            if kind == "v5":
                svns["tee_tcb_svn_2"] = svns["tee_tcb_svn"]
            raw = make_td(kind, **svns)
            found.append(verify(kind, raw, tcb_info=changes).tcb_status)

        assert [TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE, None] == found


class TestKept:
    """
    What has been verified once is not verified again, and believed for
    nothing else.
    """

    def test_other_bodies(self, kind):
        """
        One machine is kept once, whatever its enclaves or TDs say.
        """
        memory = Memory()
        judge = verifier(kind, memory)

        for i in range(5):
            parts = parts_of(kind)
            parts.body = flip(parts.body, -1 - i)
            quote = Quote(join(sign_quote(parts)))
            assert TcbStatus.UP_TO_DATE is judge.verify(quote, NOW).tcb_status

        assert (1, 1) == (len(memory.machines), len(memory.keys))

    @pytest.mark.parametrize("kind", TDX_KINDS)
    @pytest.mark.parametrize(
        ("at", "reason"),
        [
            (1, "tdx-module-unknown"),
            (64, "tdx-module-mrsignerseam"),
            (112, "tdx-module-seamattributes"),
        ],
    )
    def test_other_module(self, kind, at, reason):
        """
        The TDX module is looked at for each TD, whether the attestation key
        is kept or not, and whoever signed.
        """
        judge = verifier(kind)
        parts = parts_of(kind)
        parts.body = flip(parts.body, at)
        quote = Quote(join(sign_quote(parts)))

        found = [why(judge.verify(quote, NOW))]
        judge.verify(Quote(good(kind)), NOW)
        found.append(why(judge.verify(quote, NOW)))

        assert [(Step.MODULE, reason)] * 2 == found

    def test_qe_of_another_level(self, kind):
        """
        Two QEs on one machine are judged by their own ISVSVNs.
        """
        judge = verifier(kind)
        old = make(kind, quoting_enclave=QuotingEnclave(isvsvn=6))

        found = [
            judge.verify(Quote(raw), NOW).tcb_status
            for raw in (good(kind), old, good(kind), old)
        ]

        up, out = TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE
        assert [up, out, up, out] == found

    @pytest.mark.parametrize("kind", TDX_KINDS)
    def test_tds_of_other_levels(self, kind):
        """
        So are TDs, by what each was launched under, however many.
        """
        judge = verifier(kind)

        found = {
            svn: judge.verify(
                Quote(make_td(kind, tee_tcb_svn=bytes([svn, 1]) + b"\5" * 14)),
                NOW,
            ).tcb.launch.status
            for svn in [*range(20), *range(20)]
        }

        out, up = TcbStatus.OUT_OF_DATE, TcbStatus.UP_TO_DATE
        assert [None, None, out, out] + [up] * 16 == list(found.values())

    def test_what_runs_now(self):
        """
        TDs that were launched alike, and differ in what they run under now,
        are judged apart.
        """
        judge = verifier("v5")
        launch = bytes([2, 1]) + b"\5" * 14

        found = [
            judge.verify(
                Quote(
                    make_td(
                        "v5",
                        tee_tcb_svn=launch,
                        tee_tcb_svn_2=bytes([now, 1]) + b"\5" * 14,
                    )
                ),
                NOW,
            ).tcb_status
            for now in (2, 5, 1, 2)
        ]

        advised, out = TcbStatus.TD_RELAUNCH_ADVISED, TcbStatus.OUT_OF_DATE
        assert [out, advised, None, out] == found

    def test_past_the_end(self, kind):
        """
        A kept PCK chain is believed at its last instant, and not one second
        later or before its first.
        """
        since, until = NOW - 9 * SECOND, NOW + 9 * SECOND
        leaf = issue_pck_certificate(INTEL, PLATFORM, since=since, until=until)
        pem = chain_pem(leaf=leaf)
        judge = verifier(kind)
        quote = Quote(make(kind, certification_data=pem))
        instants = (NOW, since - SECOND, since, until, until + SECOND, NOW)

        found = [why(judge.verify(quote, now)) for now in instants]

        early = Step.PCK_CHAIN, "certificate-early"
        late = Step.PCK_CHAIN, "certificate-dates"
        assert [None, early, None, None, late, None] == found

    def test_the_other_tee_with_a_kept_key(self):
        """
        Version 4 has SGX quotes too, whose signature data may be those of a
        TD's quote to the byte: they are told apart.
        """
        judge = verifier("v4")
        parts = parts_of("v4")
        parts.header = parts.header[:4] + bytes(4) + parts.header[8:]
        parts.body = parts_of("v3").body
        quote = Quote(join(sign_quote(parts)))
        assert None is why(judge.verify(Quote(good("v4")), NOW))

        verdict = judge.verify(quote, NOW)

        assert (Step.PLATFORM, "tcb-info-tee") == why(verdict)

    def test_one_memory_for_several(self, kind):
        """
        Verifiers that share a memory do not believe each other: a PCK that
        one knows to be revoked is revoked for it.
        """
        memory = Memory()
        serial = issue_pck_certificate(INTEL, PLATFORM).serial_number
        trusting = verifier(kind, memory)
        knowing = verifier(
            kind, memory, pck_crl=INTEL.pck_crl(revoked=[serial])
        )
        quote = Quote(good(kind))

        found = [
            why(judge.verify(quote, NOW))
            for judge in (trusting, knowing, trusting)
        ]

        assert [None, (Step.REVOCATION, "pck-revoked"), None] == found


def refuted(raw):
    """
    Say what is wrong with a quote whatever the collateral.
    """
    quote = Quote(raw)
    found = refute(quote, NOW, quote.certification_data, INTEL.anchors)
    return found and (found.step, found.reason)


class TestRefuted:
    """
    What is forged is found out without any collateral.
    """

    def test_good(self, kind):
        """
        Nothing is said against a good quote.
        """
        assert None is refuted(good(kind))

    @pytest.mark.parametrize("change", CHANGES)
    def test_changed(self, kind, change):
        """
        Each change is found out at the step at which a verifier finds it, who
        has just seen the good quote.
        """
        part, alter, step = CHANGES[change]
        parts = parts_of(kind)
        setattr(parts, part, alter(getattr(parts, part)))
        judge = verifier(kind)
        judge.verify(Quote(good(kind)), NOW)

        found = why(judge.verify(Quote(join(parts)), NOW))

        assert (step, step) == (refuted(join(parts)), found)

    def test_key_off_the_curve(self, kind):
        """
        So is a key that is none.
        """
        parts = parts_of(kind)
        parts.key = bytes(64)
        step = Step.QUOTE_SIGNATURE, "attestation-key"

        assert step == refuted(join(bind(parts)))
