"""
What a TCB lacks, without a quote; ``test_findings`` has the rest.
"""

import datetime
import json

import pytest

from thim.intel.shortfalls import (
    list_module_shortfalls,
    list_platform_shortfalls,
    list_qe_shortfalls,
)
from thim.intel.steps import Remedy, Step
from thim.intel.tcb import IsvLevel, Tcb, TcbLevel, TcbStatus


DATE = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
UP, OUT = TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE
HARDENING = TcbStatus.SW_HARDENING_NEEDED
CONFIGURATION = TcbStatus.CONFIGURATION_NEEDED
BOTH = TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED
COMPONENTS = [{"svn": 0, "category": "BIOS"}] + [{"svn": 0}] * 15
TCB_INFO = json.dumps(
    {
        "tcbLevels": [
            {
                "tcb": {
                    "sgxtcbcomponents": COMPONENTS,
                    "tdxtcbcomponents": [{"svn": 0}] * 16,
                }
            }
        ]
    }
).encode()


def a_tcb(sgx, pcesvn=5, tdx=b""):
    """
    Make a TCB by its first SGX component; the others are 9.
    """
    return Tcb(sgx=bytes([sgx, *[9] * 15]), pcesvn=pcesvn, tdx=tdx)


def a_level(tcb, status, *advisories):
    """
    Make a level of a platform.
    """
    return TcbLevel(tcb=tcb, status=status, advisory_ids=advisories)


def a_part(isvsvn, status, *advisories):
    """
    Make a level of an enclave.
    """
    return IsvLevel(
        isvsvn=isvsvn, status=status, tcb_date=DATE, advisory_ids=advisories
    )


HIGH = a_level(a_tcb(4, 6), UP, "A")
LOW = a_level(a_tcb(1, 1), OUT, "B", "A")
PARTS = (a_part(9, UP), a_part(7, UP), a_part(5, OUT, "C"))


def platform(tcb, level, levels=(HIGH, LOW)):
    """
    List what a platform lacks.
    """
    return list(list_platform_shortfalls(tcb, level, levels, TCB_INFO))


def short(findings):
    """
    Tell what they are about, what there is, and what is needed.
    """
    return [(f.component, f.found, f.needed) for f in findings]


class TestPlatform:
    def test_behind(self):
        """
        Each component that is behind is told with its name, and the PCESVN.
        """
        found = platform(a_tcb(3, 5), LOW)

        assert [
            ("SGX component 1 (BIOS)", "3", "4"),
            ("PCESVN", "5", "6"),
        ] == short(found)
        assert [("B",)] * 2 == [finding.advisory_ids for finding in found]
        assert [Remedy.FIRMWARE, Remedy.PSW] == [f.remedy for f in found]

    def test_enough(self):
        """
        What is good enough lacks nothing.
        """
        assert [] == platform(a_tcb(4, 6), HIGH)

    def test_no_level(self):
        """
        Beneath all levels the lowest good one counts.
        """
        (found,) = platform(a_tcb(0, 6), None)

        assert ("no-tcb-level", "4") == (found.reason, found.needed)

    @pytest.mark.parametrize(
        ("statuses", "needed"),
        [
            ([UP, HARDENING, CONFIGURATION], 5),
            ([UP, OUT, CONFIGURATION], 6),
            ([CONFIGURATION, BOTH, OUT], 5),
        ],
    )
    def test_which_level(self, statuses, needed):
        """
        The nearest level above counts that is acceptable, else the nearest
        that only wants another configuration; none below.
        """
        levels = [
            a_level(a_tcb(6 - i, 1), status)
            for i, status in enumerate([*statuses, OUT, UP])
        ]

        (found,) = platform(a_tcb(3, 1), levels[3], levels)

        assert f"{needed}" == found.needed

    def test_configuration(self):
        """
        What only wants another configuration lacks no SVN.
        """
        level = a_level(a_tcb(1, 1), CONFIGURATION)

        assert [] == platform(a_tcb(1, 1), level, (HIGH, level))

    def test_hopeless(self):
        """
        Without a better level that is what is told.
        """
        (found,) = platform(a_tcb(1, 1), LOW, (LOW,))

        assert "no-better-level" == found.reason

    @pytest.mark.parametrize(("version", "behind"), [(0, [1, 3]), (1, [3])])
    def test_tdx(self, version, behind):
        """
        The first two TDX components are the module's, unless its version is
        0.
        """
        needed = a_tcb(4, 6, bytes([5, 0, 5, *[5] * 13]))
        tcb = a_tcb(4, 6, bytes([4, version, 4, *[5] * 13]))
        low = a_level(a_tcb(1, 1, bytes(16)), OUT)

        found = platform(tcb, low, (a_level(needed, UP), low))

        expected = [(f"TDX component {i}", "4", "5") for i in behind]
        assert expected == short(found)


class TestModule:
    def test_behind(self):
        """
        A module that is behind is told, with the lowest SVN that will do.
        """
        svns = bytes([5, 3, *bytes(14)])
        (found,) = list_module_shortfalls(svns, PARTS[2], PARTS)

        assert [("TDX module 3.x ISVSVN", "5", "7")] == short([found])
        assert (Step.MODULE_TCB, ("C",)) == (found.step, found.advisory_ids)

    def test_version_0(self):
        """
        One of version 0 has no levels of its own.
        """
        assert [] == list(list_module_shortfalls(bytes(16), None, ()))


class TestQe:
    @pytest.mark.parametrize(
        ("svn", "level", "expected"),
        [
            (9, PARTS[0], []),
            (5, PARTS[2], [("isvsvn-behind", "5", "7")]),
            (4, None, [("no-tcb-level", "4", "7")]),
        ],
    )
    def test_behind(self, svn, level, expected):
        """
        A quoting enclave that is behind is told.
        """
        found = list(list_qe_shortfalls(svn, level, PARTS))

        assert expected == [(f.reason, f.found, f.needed) for f in found]
        assert [Step.QE_TCB] * len(found) == [finding.step for finding in found]
