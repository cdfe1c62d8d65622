"""
What a verdict says to people: what is behind, by how much, and what mends it.
"""

import pytest

from tests.intel.levels_made import (
    BOTH,
    CONFIGURATION,
    HARDENING,
    OUT,
    OUT_CONFIGURATION,
    REVOKED,
    UP,
    level,
    named,
    part,
    short,
    status,
    tcb_info,
    where,
)
from tests.intel.quotes_made import (
    INTEL,
    KINDS,
    NOW,
    SECOND,
    TDX_KINDS,
    make,
    make_td,
    verify,
)
from thim.intel.steps import Finding, Remedy, Step
from thim.simulate.pck import Platform


SA = "INTEL-SA-{:05}".format


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


class TestPlatform:
    def test_one_component(self, kind):
        """
        A component that is behind is told with all there is to know.
        """
        bios = {"category": "BIOS", "type": "Early Microcode Update"}
        levels = [
            level(UP, sgx=4, pcesvn=11, advisories=[SA(1)]),
            level(OUT, sgx=3, advisories=[SA(3), SA(1), SA(2)]),
        ]
        machine = Platform(cpusvn=b"\3" + b"\4" * 15)

        verdict = verify(
            kind, make(kind, machine), tcb_info=named(kind, levels, [bios])
        )

        name = "SGX component 1 (BIOS, Early Microcode Update)"
        expected = Finding(
            step=Step.PLATFORM_TCB,
            reason="component-behind",
            detail=f"{name} has the SVN 3, 4 is needed",
            component=name,
            found="3",
            needed="4",
            advisory_ids=(SA(2), SA(3)),
            remedy=Remedy.FIRMWARE,
        )
        assert (expected,) == verdict.findings

    def test_all_behind(self, kind):
        """
        Each component that is behind is told, and the PCESVN; none that is
        not.
        """
        levels = [level(UP, sgx=4, pcesvn=11), level(OUT)]
        machine = Platform(cpusvn=bytes(range(16)), pcesvn=10)

        verdict = verify(
            kind, make(kind, machine), tcb_info=tcb_info(kind, levels)
        )

        components = [(f"SGX component {i + 1}", f"{i}", "4") for i in range(4)]
        assert [*components, ("PCESVN", "10", "11")] == short(verdict.findings)
        remedies = [finding.remedy for finding in verdict.findings]
        assert [Remedy.FIRMWARE] * 4 + [Remedy.PSW] == remedies

    def test_no_level(self, kind):
        """
        Beneath all levels the lowest one counts that is good enough.
        """
        levels = [level(UP, sgx=9), level(HARDENING, sgx=5), level(OUT, sgx=5)]
        levels[2]["tcb"]["sgxtcbcomponents"][0] = {"svn": 4}
        machine = Platform(cpusvn=b"\3" + b"\5" * 15)

        verdict = verify(
            kind, make(kind, machine), tcb_info=tcb_info(kind, levels)
        )

        assert [("SGX component 1", "3", "5")] == short(verdict.findings)
        assert "no-tcb-level" == verdict.findings[0].reason
        assert () == verdict.findings[0].advisory_ids

    @pytest.mark.parametrize(
        ("above", "expected"),
        [
            ([UP, HARDENING, CONFIGURATION], 6),
            ([UP, OUT, CONFIGURATION], 7),
            ([CONFIGURATION, BOTH, OUT_CONFIGURATION], 6),
            ([BOTH, OUT, REVOKED], 7),
        ],
    )
    def test_which_level(self, kind, above, expected):
        """
        The nearest level above that is at the baseline is what is needed, or
        else the nearest that only wants another configuration.
        """
        levels = [level(s, sgx=7 - i) for i, s in enumerate(above)]
        levels += [level(OUT, sgx=4), level(UP, sgx=3)]

        verdict = verify(kind, tcb_info=tcb_info(kind, levels))

        assert {f"{expected}"} == {each.needed for each in verdict.findings}
        assert 16 == len(verdict.findings)

    @pytest.mark.parametrize("found", [OUT, REVOKED])
    @pytest.mark.parametrize("above", [[], [OUT], [REVOKED]])
    def test_hopeless(self, kind, found, above):
        """
        Without a better level nothing mends it, and that is said.
        """
        levels = [level(s, sgx=7 - i) for i, s in enumerate(above)]
        levels.append(level(found, advisories=[SA(7)]))

        verdict = verify(kind, tcb_info=tcb_info(kind, levels))

        (finding,) = verdict.findings
        assert ("platform", found, UP) == short([finding])[0]
        assert "no-better-level" == finding.reason
        assert (SA(7),) == finding.advisory_ids
        assert None is finding.remedy

    def test_hopeless_without_a_level(self, kind):
        """
        That may also be so beneath all levels.
        """
        levels = tcb_info(kind, [level(OUT, sgx=9)])

        (finding,) = verify(kind, tcb_info=levels).findings
        assert ("platform", "without a level", UP) == short([finding])[0]


@pytest.mark.parametrize(
    ("version", "behind"), [(0, [1, 3]), (1, [3]), (3, [3])]
)
def test_tdx_components(version, behind):
    """
    TDX components are told by their names; the first two belong to the module,
    but for one of version 0.
    """
    names = [{"type": "TDX Module"}, {}, {"category": "OS/VMM"}]
    levels = named("v4", [level(UP, tdx=5), level(OUT)], tdx=names)
    levels["tcbLevels"][0]["tcb"]["tdxtcbcomponents"][1] = {"svn": 0}
    levels.pop("tdxModuleIdentities")
    launch = bytes([4, version, 4]) + b"\5" * 13

    verdict = verify("v4", make_td("v4", tee_tcb_svn=launch), tcb_info=levels)

    told = {
        1: ("TDX component 1 (TDX Module)", "4", "5"),
        3: ("TDX component 3 (OS/VMM)", "4", "5"),
    }
    remedies = {1: Remedy.TDX_MODULE, 3: Remedy.FIRMWARE}
    assert [told[i] for i in behind] == short(verdict.findings)
    assert [remedies[i] for i in behind] == [f.remedy for f in verdict.findings]


@pytest.mark.parametrize("kind", TDX_KINDS)
class TestModule:
    def test_module(self, kind):
        """
        A module that is behind is told by its version, with the lowest SVN
        that is up to date.
        """
        modules = [
            part(UP, 9),
            part(UP, 7),
            part(OUT, 5, advisories=[SA(4)]),
            part(OUT, 1),
        ]

        verdict = verify(kind, tcb_info=tcb_info(kind, [level(UP)], modules))

        expected = Finding(
            step=Step.MODULE_TCB,
            reason="isvsvn-behind",
            detail="the TDX module 1.x with the ISVSVN 5 is OutOfDate, 7 is "
            "needed",
            component="TDX module 1.x ISVSVN",
            found="5",
            needed="7",
            advisory_ids=(SA(4),),
            remedy=Remedy.TDX_MODULE,
        )
        assert (expected,) == verdict.findings

    def test_module_without_level(self, kind):
        """
        So is one beneath all levels.
        """
        levels = tcb_info(kind, [level(UP)], [part(UP, 6)])

        (finding,) = verify(kind, tcb_info=levels).findings

        assert (Step.MODULE_TCB, "no-tcb-level") == where(finding)
        assert "is without a level, 6 is needed" in finding.detail
        assert () == finding.advisory_ids


class TestQuotingEnclave:
    def test_behind(self, kind):
        """
        A QE that is behind is told.
        """
        qe = [part(UP, 9), part(OUT, 8, advisories=[SA(6)])]

        verdict = verify(kind, identity={"tcbLevels": qe})

        expected = Finding(
            step=Step.QE_TCB,
            reason="isvsvn-behind",
            detail="the quoting enclave with the ISVSVN 8 is OutOfDate, 9 is "
            "needed",
            component="quoting enclave ISVSVN",
            found="8",
            needed="9",
            advisory_ids=(SA(6),),
            remedy=Remedy.PSW,
        )
        assert (expected,) == verdict.findings

    def test_nothing_better(self, kind):
        """
        Where no level is up to date, no number is needed.
        """
        verdict = verify(kind, identity={"tcbLevels": [part(REVOKED, 2)]})

        (finding,) = verdict.findings
        assert ("8", "") == (finding.found, finding.needed)
        assert finding.detail.endswith("ISVSVN 8 is Revoked")


class TestConfiguration:
    @pytest.mark.parametrize("found", [CONFIGURATION, BOTH])
    def test_needed(self, kind, found):
        """
        A platform that only wants another configuration lacks nothing else.
        """
        levels = [level(UP, sgx=9), level(found, advisories=[SA(2), SA(1)])]

        verdict = verify(kind, tcb_info=tcb_info(kind, levels))

        (finding,) = verdict.findings
        assert (Step.PLATFORM_TCB, "configuration-needed") == where(finding)
        assert ("platform configuration", found, UP) == short([finding])[0]
        assert (SA(1), SA(2)) == finding.advisory_ids
        assert Remedy.CONFIGURATION is finding.remedy

    def test_out_of_date_as_well(self, kind):
        """
        Where it is out of date too, both are told.
        """
        levels = [level(UP, pcesvn=12), level(OUT_CONFIGURATION)]

        verdict = verify(kind, tcb_info=tcb_info(kind, levels))

        reasons = [finding.reason for finding in verdict.findings]
        assert ["component-behind", "configuration-needed"] == reasons


class TestRelaunch:
    def test_advice(self):
        """
        Where relaunching is all that it takes, that is all that is told.
        """
        launch = b"\2\1" + b"\5" * 14

        verdict = verify("v5", make_td("v5", tee_tcb_svn=launch))

        (finding,) = verdict.findings
        assert (Step.CONVERGENCE, "relaunch-advised") == where(finding)
        needed = (b"\5\1" + b"\5" * 14).hex()
        assert [("TEE_TCB_SVN", launch.hex(), needed)] == short([finding])
        assert Remedy.RELAUNCH is finding.remedy

    def test_with_configuration(self):
        """
        A configuration that is wanted besides is told too, and what Intel's
        advisories say of the launch.
        """
        levels = [
            level(CONFIGURATION, tdx=5),
            level(OUT, advisories=[SA(5)]),
        ]
        launch = b"\5\1" + b"\4" * 14

        verdict = verify(
            "v5",
            make_td("v5", tee_tcb_svn=launch),
            tcb_info=tcb_info("v5", levels),
        )

        reasons = [finding.reason for finding in verdict.findings]
        assert ["relaunch-advised", "configuration-needed"] == reasons
        assert (SA(5),) == verdict.findings[0].advisory_ids

    @pytest.mark.parametrize(
        ("now", "expected"),
        [
            (b"\1\1" + b"\5" * 14, ("TDX module 1.x ISVSVN", "1", "4")),
            (b"\5\2" + b"\5" * 14, ("TDX module 2.x ISVSVN", "5", "")),
            (b"\5\1\1" + b"\5" * 13, ("TDX component 3", "1", "5")),
        ],
    )
    def test_no_level_now(self, now, expected):
        """
        Where what runs now has no level, that is what is told.
        """
        (finding,) = verify("v5", make_td("v5", tee_tcb_svn_2=now)).findings

        assert "no-tcb-level" == finding.reason
        assert [expected] == short([finding])

    @pytest.mark.parametrize(("launch", "now"), [(1, 0), (3, 2)])
    def test_present_first(self, launch, now):
        """
        Where both have none, or both are behind, what runs now is told: that
        is what has to be updated.
        """
        svns = [bytes([svn, 1]) + b"\5" * 14 for svn in (launch, now)]
        raw = make_td("v5", tee_tcb_svn=svns[0], tee_tcb_svn_2=svns[1])
        expected = [("TDX module 1.x ISVSVN", f"{now}", "4")]
        assert expected == short(verify("v5", raw).findings)

    def test_module_alone(self):
        """
        Where the firmware has been updated since and the module has not, it is
        the module that is told, and nothing of the firmware.
        """
        launch, now = bytes([2, 1]) + b"\3" * 14, bytes([2, 1]) + b"\5" * 14
        raw = make_td("v5", tee_tcb_svn=launch, tee_tcb_svn_2=now)

        expected = [("TDX module 1.x ISVSVN", "2", "4")]
        assert expected == short(verify("v5", raw).findings)


class TestNotes:
    @pytest.mark.parametrize("found", [HARDENING, BOTH])
    def test_hardening(self, kind, found):
        """
        That enclaves must be built with mitigations is a note: the platform
        can do nothing about it.
        """
        levels = [level(found, advisories=[SA(2), SA(1)])]

        verdict = verify(kind, tcb_info=tcb_info(kind, levels))

        (note,) = verdict.notes
        assert (Step.PLATFORM_TCB, "sw-hardening-needed") == where(note)
        assert (SA(1), SA(2)) == note.advisory_ids
        assert Remedy.SOFTWARE is note.remedy
        assert (found == HARDENING) == verdict.is_acceptable

    def test_behind_now(self):
        """
        QVL goes by the launch where today's TCB is worse; that is a note.
        """
        svns = bytes([2, 1]) + b"\5" * 14
        (note,) = verify("v5", make_td("v5", tee_tcb_svn_2=svns)).notes

        assert ("current-behind", OUT) == (note.reason, note.found)

    def test_no_level_now(self):
        """
        Where today's TCB has no level that is a finding, and no note.
        """
        svns = bytes([1, 1]) + b"\5" * 14

        assert () == verify("v5", make_td("v5", tee_tcb_svn_2=svns)).notes

    def test_numbers_differ(self, kind):
        """
        TCB info and identity of different numbers are noted, and decide
        nothing.
        """
        verdict = verify(kind, identity={"tcbEvaluationDataNumber": 16})

        assert UP == status(verdict)
        (note,) = verdict.notes
        assert (Step.IDENTITY, "numbers-differ") == where(note)
        assert ("16", "17") == (note.found, note.needed)
        assert Remedy.COLLATERAL is note.remedy

    def test_expired(self, kind):
        """
        An expired document is noted with its end, at the step that it is
        verified in.
        """
        old = INTEL.pck_crl(next_update=NOW - SECOND)

        (note,) = verify(kind, pck_crl=old).notes

        assert (Step.CRLS, "expired") == where(note)
        assert short([note]) == [
            (
                "pck-crl",
                "2025-06-06T03:43:44Z",
                "2025-06-06T03:43:45Z or later",
            )
        ]
        assert Remedy.COLLATERAL is note.remedy
