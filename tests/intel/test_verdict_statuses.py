"""
From quote and collateral to a status.
"""

import datetime

import pytest

from tests.intel.levels_made import (
    BOTH,
    CONFIGURATION,
    HARDENING,
    OUT,
    OUT_CONFIGURATION,
    RELAUNCH,
    RELAUNCH_CONFIGURATION,
    REVOKED,
    UP,
    level,
    part,
    status,
    tcb_info,
)
from tests.intel.quotes_made import (
    INTEL,
    KINDS,
    PLATFORM,
    TDX_KINDS,
    make,
    make_td,
    verify,
)
from thim.intel.tcb import TcbStatus
from thim.simulate.pck import Platform
from thim.simulate.quote import (
    QuotingEnclave,
    SgxBody,
    TdBody,
    make_tdx_quote_v5,
)


#: Table 3.7 of QVL's convergence: the platform's status, then what comes of
#: it with parts that are up to date, out of date, or revoked.
CONVERGENCE = {
    UP: (UP, OUT, REVOKED),
    HARDENING: (HARDENING, OUT, REVOKED),
    CONFIGURATION: (CONFIGURATION, OUT_CONFIGURATION, REVOKED),
    BOTH: (BOTH, OUT_CONFIGURATION, REVOKED),
    OUT: (OUT, OUT, REVOKED),
    OUT_CONFIGURATION: (OUT_CONFIGURATION, OUT_CONFIGURATION, REVOKED),
    REVOKED: (REVOKED, REVOKED, REVOKED),
}
PARTS = (UP, OUT, REVOKED)
#: What the advice to relaunch comes of: launch, and today's.
CURRENT = (UP, HARDENING, CONFIGURATION, BOTH)


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


class TestStatus:
    @pytest.mark.parametrize("platform", CONVERGENCE)
    @pytest.mark.parametrize("qe", PARTS)
    def test_qe(self, kind, platform, qe):
        """
        The platform's status and the QE's converge as in QVL.
        """
        verdict = verify(
            kind,
            tcb_info=tcb_info(kind, [level(platform)]),
            identity={"tcbLevels": [part(qe)]},
        )

        expected = CONVERGENCE[platform][PARTS.index(qe)]
        assert expected == status(verdict)

    @pytest.mark.parametrize("kind", TDX_KINDS)
    @pytest.mark.parametrize("platform", CONVERGENCE)
    @pytest.mark.parametrize("module", PARTS)
    def test_module(self, kind, platform, module):
        """
        So do those of the platform and the TDX module.
        """
        verdict = verify(
            kind, tcb_info=tcb_info(kind, [level(platform)], [part(module)])
        )

        expected = CONVERGENCE[platform][PARTS.index(module)]
        assert expected == status(verdict)

    @pytest.mark.parametrize("kind", TDX_KINDS)
    def test_revoked_and_out_of_date(self, kind):
        """
        Revoked wins over out of date, whichever part it is.
        """
        for module, qe in ((OUT, REVOKED), (REVOKED, OUT)):
            verdict = verify(
                kind,
                tcb_info=tcb_info(kind, [level(UP)], [part(module)]),
                identity={"tcbLevels": [part(qe)]},
            )
            assert REVOKED == status(verdict)

    @pytest.mark.parametrize(
        "changes",
        [
            {"tcb_info": [level(UP, sgx=5)]},
            {"tcb_info": [level(UP, pcesvn=12)]},
            {"identity": {"tcbLevels": [part(UP, 9)]}},
        ],
        ids=["components", "PCESVN", "QE"],
    )
    def test_no_level(self, kind, changes):
        """
        Without a level of the platform or of the QE there is no status: the
        quote is authentic all the same.
        """
        if "tcb_info" in changes:
            levels = [{**each} for each in changes["tcb_info"]]
            for each in levels:
                each["tcb"] = dict(each["tcb"])
            changes = {"tcb_info": tcb_info(kind, levels)}

        verdict = verify(kind, **changes)

        assert None is status(verdict)
        assert None is verdict.tcb_date

    @pytest.mark.parametrize("kind", TDX_KINDS)
    @pytest.mark.parametrize(
        "changes",
        [
            ([level(UP, tdx=6)], None),
            ([level(UP)], [part(UP, 6)]),
        ],
        ids=["components", "module"],
    )
    def test_no_level_of_a_td(self, kind, changes):
        """
        Nor is there without one of the TDX components or of the module.
        """
        verdict = verify(kind, tcb_info=tcb_info(kind, *changes))

        assert None is status(verdict)

    def test_first_level(self, kind):
        """
        The highest level that is reached counts, in whatever order they
        stand.
        """
        levels = [level(OUT), level(CONFIGURATION, sgx=3), level(UP, sgx=5)]

        verdict = verify(kind, tcb_info=tcb_info(kind, levels))

        assert CONFIGURATION == status(verdict)

    def test_body_of_an_enclave(self):
        """
        The CPUSVN in an enclave's report decides nothing.
        """
        raw = make("v3", body=SgxBody(cpusvn=bytes(16)))

        assert UP == status(verify("v3", raw))

    def test_date_and_advisories(self, kind):
        """
        The date is the earliest of the levels that count, and the advisories
        are theirs together; the levels below add nothing.
        """
        levels = [
            level(OUT, sgx=3, day=20, advisories=["INTEL-SA-2", "INTEL-SA-1"]),
            level(OUT, sgx=2, day=2, advisories=["INTEL-SA-9"]),
        ]
        modules = [
            part(OUT, 5, day=15, advisories=["INTEL-SA-3", "INTEL-SA-1"]),
            part(OUT, 1, day=1, advisories=["INTEL-SA-8"]),
        ]
        qe = [part(OUT, 8, day=17, advisories=["INTEL-SA-4"])]

        verdict = verify(
            kind,
            tcb_info=tcb_info(kind, levels, modules),
            identity={"tcbLevels": qe},
        )

        is_td = kind != "v3"
        day = datetime.datetime(
            2024, 1, 15 if is_td else 17, tzinfo=datetime.UTC
        )
        assert day == verdict.tcb_date
        numbers = (1, 2, 3, 4) if is_td else (1, 2, 4)
        assert verdict.advisory_ids == tuple(f"INTEL-SA-{n}" for n in numbers)


class TestRelaunch:
    """
    A TD of TDX 1.5 that was launched at a lower TCB than it has now.
    """

    def judge(self, launch, current, kind="v5", **changes):
        """
        Judge a TD whose components are at 1 at launch and at 2 now.
        """
        levels = [level(current, tdx=2), level(launch, tdx=1)]
        fields = {"tee_tcb_svn": b"\1" * 16}
        if kind == "v5":
            fields["tee_tcb_svn_2"] = b"\2\1" + b"\2" * 14
        return verify(
            kind,
            make_td(kind, **fields),
            tcb_info=tcb_info(kind, levels),
            **changes,
        )

    @pytest.mark.parametrize("current", CONVERGENCE)
    @pytest.mark.parametrize("launch", CONVERGENCE)
    def test_advice(self, launch, current):
        """
        Relaunching is advised where launch is out of date and today's is not;
        where either wants a configuration, that is said as well.
        """
        advised = launch in {OUT, OUT_CONFIGURATION} and current in CURRENT
        configured = OUT_CONFIGURATION == launch or current in {
            CONFIGURATION,
            BOTH,
        }
        advice = RELAUNCH_CONFIGURATION if configured else RELAUNCH
        expected = advice if advised else launch

        assert expected == status(self.judge(launch, current))

    def test_both_are_told(self):
        """
        The verdict has what was at launch, and what is now.
        """
        tcb = self.judge(OUT, UP).tcb

        assert TcbStatus.OUT_OF_DATE is tcb.launch.status
        assert TcbStatus.UP_TO_DATE is tcb.current.status
        assert TcbStatus.TD_RELAUNCH_ADVISED is tcb.status

    def test_module(self):
        """
        It is also advised where only the module was behind, by its version
        of today.
        """
        raw = make_td("v5", tee_tcb_svn=b"\2\1" + b"\5" * 14)

        assert RELAUNCH == status(verify("v5", raw))

    def test_outdated_qe(self):
        """
        A QE that is out of date makes both so: relaunching mends nothing.
        """
        identity = {"tcbLevels": [part(OUT)]}

        verdict = self.judge(OUT, UP, identity=identity)

        assert OUT == status(verdict)

    def test_version_4(self):
        """
        A quote of version 4 does not say what runs now.
        """
        assert OUT == status(self.judge(OUT, UP, "v4"))

    def test_td_10_in_version_5(self):
        """
        Nor does a TD of TDX 1.0 in version 5.
        """
        raw = make_tdx_quote_v5(
            INTEL, PLATFORM, TdBody(tee_tcb_svn=b"\2\1" + b"\5" * 14)
        )

        verdict = verify("v5", raw)

        assert OUT == status(verdict)
        assert verdict.tcb.launch is verdict.tcb.current

    @pytest.mark.parametrize("svn", [b"\1\1" + b"\5" * 14, b"\5\1" + bytes(14)])
    def test_no_level_now(self, svn):
        """
        Where today's TCB has no level there is no status, and the findings
        say why.
        """
        verdict = verify("v5", make_td("v5", tee_tcb_svn_2=svn))

        assert None is verdict.tcb_status
        assert None is verdict.tcb.current.status
        assert TcbStatus.UP_TO_DATE is verdict.tcb.launch.status
        assert () != verdict.findings


def test_machine_and_enclave_together(kind):
    """
    What is out of date in two parts is out of date once.
    """
    raw = make(
        kind,
        Platform(cpusvn=b"\2" * 16, pcesvn=10),
        quoting_enclave=QuotingEnclave(isvsvn=6),
    )

    assert OUT == status(verify(kind, raw))
