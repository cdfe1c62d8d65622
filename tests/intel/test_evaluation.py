import datetime
import itertools

import pytest

from thim.intel.evaluation import (
    advise,
    converge,
    evaluate,
    find_isv_level,
    highest_first,
)
from thim.intel.tcb import IsvLevel, Tcb, TcbLevel, TcbStatus


UP_TO_DATE = "UpToDate"
HARDENING = "SWHardeningNeeded"
CONFIGURATION = "ConfigurationNeeded"
BOTH = "ConfigurationAndSWHardeningNeeded"
OUT_OF_DATE = "OutOfDate"
OUT_OF_DATE_CONFIGURATION = "OutOfDateConfigurationNeeded"
REVOKED = "Revoked"
PLATFORM = [
    UP_TO_DATE,
    HARDENING,
    CONFIGURATION,
    BOTH,
    OUT_OF_DATE,
    OUT_OF_DATE_CONFIGURATION,
    REVOKED,
]
RELAUNCH = "TDRelaunchAdvised"
RELAUNCH_CONFIGURATION = "TDRelaunchAdvisedConfigurationNeeded"

#: By the platform: with all parts up to date, one out of date, one revoked.
CONVERGENCE = {
    UP_TO_DATE: (UP_TO_DATE, OUT_OF_DATE, REVOKED),
    HARDENING: (HARDENING, OUT_OF_DATE, REVOKED),
    CONFIGURATION: (CONFIGURATION, OUT_OF_DATE_CONFIGURATION, REVOKED),
    BOTH: (BOTH, OUT_OF_DATE_CONFIGURATION, REVOKED),
    OUT_OF_DATE: (OUT_OF_DATE, OUT_OF_DATE, REVOKED),
    OUT_OF_DATE_CONFIGURATION: (
        OUT_OF_DATE_CONFIGURATION,
        OUT_OF_DATE_CONFIGURATION,
        REVOKED,
    ),
    REVOKED: (REVOKED, REVOKED, REVOKED),
}
PARTS = [
    ([UP_TO_DATE], 0),
    ([OUT_OF_DATE], 1),
    ([REVOKED], 2),
    ([UP_TO_DATE, UP_TO_DATE], 0),
    ([UP_TO_DATE, OUT_OF_DATE], 1),
    ([OUT_OF_DATE, UP_TO_DATE], 1),
    ([OUT_OF_DATE, OUT_OF_DATE], 1),
    ([UP_TO_DATE, REVOKED], 2),
    ([REVOKED, UP_TO_DATE], 2),
    ([OUT_OF_DATE, REVOKED], 2),
    ([REVOKED, OUT_OF_DATE], 2),
    ([REVOKED, REVOKED], 2),
]

OLD, NEWER, NEWEST = (
    datetime.datetime(year, 3, 13, tzinfo=datetime.UTC)
    for year in (2023, 2024, 2025)
)


def a_level(status=UP_TO_DATE, date=NEWEST, advisories=()):
    """
    Make a level of a platform.
    """
    return TcbLevel(
        tcb=Tcb(sgx=bytes(16), pcesvn=0),
        status=TcbStatus(status),
        tcb_date=date,
        advisory_ids=advisories,
    )


def an_isv_level(status=UP_TO_DATE, date=NEWEST, advisories=(), isvsvn=1):
    """
    Make a level of an enclave or a TDX module.
    """
    return IsvLevel(
        isvsvn=isvsvn,
        status=TcbStatus(status),
        tcb_date=date,
        advisory_ids=advisories,
    )


class TestConverge:
    @pytest.mark.parametrize("platform", PLATFORM)
    @pytest.mark.parametrize(("parts", "column"), PARTS)
    def test_table(self, platform, parts, column):
        """
        A part out of date takes hardening away and leaves configuration, and
        a revoked one revokes all: Intel's table, row by row.
        """
        found = converge(TcbStatus(platform), map(TcbStatus, parts))

        assert CONVERGENCE[platform][column] == found.value


class TestAdvise:
    @pytest.mark.parametrize(
        ("launch", "current"), [*itertools.product(PLATFORM, PLATFORM)]
    )
    def test_table(self, launch, current):
        """
        A TD that was launched out of date and would not be so now should be
        launched again; anything else is what it was at launch.
        """
        if launch.startswith("OutOf") and current[:3] in {"UpT", "SWH", "Con"}:
            is_configured = "Configuration" not in launch + current
            expected = RELAUNCH if is_configured else RELAUNCH_CONFIGURATION
        else:
            expected = launch

        assert expected == advise(TcbStatus(launch), TcbStatus(current)).value

    @pytest.mark.parametrize(
        ("launch", "current", "expected"),
        [
            (OUT_OF_DATE, UP_TO_DATE, RELAUNCH),
            (OUT_OF_DATE, HARDENING, RELAUNCH),
            (OUT_OF_DATE, CONFIGURATION, RELAUNCH_CONFIGURATION),
            (OUT_OF_DATE, BOTH, RELAUNCH_CONFIGURATION),
            (OUT_OF_DATE_CONFIGURATION, UP_TO_DATE, RELAUNCH_CONFIGURATION),
            (OUT_OF_DATE_CONFIGURATION, HARDENING, RELAUNCH_CONFIGURATION),
            (OUT_OF_DATE_CONFIGURATION, CONFIGURATION, RELAUNCH_CONFIGURATION),
            (OUT_OF_DATE_CONFIGURATION, BOTH, RELAUNCH_CONFIGURATION),
            (OUT_OF_DATE, OUT_OF_DATE, OUT_OF_DATE),
            (OUT_OF_DATE, OUT_OF_DATE_CONFIGURATION, OUT_OF_DATE),
            (OUT_OF_DATE, REVOKED, OUT_OF_DATE),
            (
                OUT_OF_DATE_CONFIGURATION,
                REVOKED,
                OUT_OF_DATE_CONFIGURATION,
            ),
            (UP_TO_DATE, CONFIGURATION, UP_TO_DATE),
            (UP_TO_DATE, REVOKED, UP_TO_DATE),
            (REVOKED, UP_TO_DATE, REVOKED),
        ],
    )
    def test_by_hand(self, launch, current, expected):
        """
        The rows of Intel's rule, as they are written there.
        """
        assert expected == advise(TcbStatus(launch), TcbStatus(current)).value


class TestEvaluate:
    @pytest.mark.parametrize("platform", PLATFORM)
    @pytest.mark.parametrize(
        ("qe", "column"), [(UP_TO_DATE, 0), (OUT_OF_DATE, 1), (REVOKED, 2)]
    )
    def test_sgx(self, platform, qe, column):
        """
        An enclave's TCB is the platform's and the QE's.
        """
        found = evaluate(a_level(platform), an_isv_level(qe))

        assert TcbStatus(CONVERGENCE[platform][column]) is found.status

    @pytest.mark.parametrize("platform", PLATFORM)
    @pytest.mark.parametrize(
        ("parts", "column"), [each for each in PARTS if len(each[0]) == 2]
    )
    def test_tdx(self, platform, parts, column):
        """
        A TD's TCB is the platform's, the module's and the QE's.
        """
        qe, module = map(an_isv_level, parts)
        found = evaluate(a_level(platform), qe, module, has_module=True)

        assert TcbStatus(CONVERGENCE[platform][column]) is found.status

    def test_old_module(self):
        """
        A module without levels of its own says nothing.
        """
        found = evaluate(
            a_level(), an_isv_level(), an_isv_level(REVOKED), has_module=False
        )

        assert TcbStatus.UP_TO_DATE is found.status

    @pytest.mark.parametrize(
        ("platform", "qe", "module", "has_module"),
        [
            (None, an_isv_level(), None, False),
            (a_level(), None, None, False),
            (None, None, None, False),
            (None, an_isv_level(), an_isv_level(), True),
            (a_level(), None, an_isv_level(), True),
            (a_level(), an_isv_level(), None, True),
            (a_level(REVOKED), None, None, True),
            (a_level(), an_isv_level(REVOKED), None, True),
            (None, None, None, True),
        ],
    )
    def test_missing(self, platform, qe, module, has_module):
        """
        Where a level is missing there is neither a status nor a date.
        """
        found = evaluate(platform, qe, module, has_module=has_module)

        assert (None, None) == (found.status, found.tcb_date)

    def test_parts(self):
        """
        The levels that were combined stay at hand.
        """
        platform, qe, module = a_level(), an_isv_level(), an_isv_level()
        found = evaluate(platform, qe, module, has_module=True)

        assert platform is found.platform
        assert qe is found.qe
        assert module is found.module
        assert found.has_module

    def test_levels(self):
        """
        Those that are there can be listed.
        """
        platform, qe = a_level(HARDENING), an_isv_level()

        assert (platform, qe) == evaluate(platform, qe).levels
        assert (qe,) == evaluate(None, qe).levels
        assert () == evaluate(None, None).levels


class TestTcbDate:
    @pytest.mark.parametrize(
        "dates", [*itertools.permutations([OLD, NEWER, NEWEST])]
    )
    def test_earliest(self, dates):
        """
        The TCB date is the earliest of platform, module and QE.
        """
        platform, qe, module = dates
        found = evaluate(
            a_level(date=platform),
            an_isv_level(date=qe),
            an_isv_level(date=module),
            has_module=True,
        )

        assert OLD == found.tcb_date

    def test_undated(self):
        """
        A level without a date does not count.
        """
        found = evaluate(a_level(date=None), an_isv_level(date=NEWER))

        assert NEWER == found.tcb_date


class TestAdvisoryIds:
    def test_union(self):
        """
        The advisories of all levels, each once, sorted.
        """
        found = evaluate(
            a_level(advisories=("INTEL-SA-00828", "INTEL-SA-00615")),
            an_isv_level(advisories=("INTEL-SA-01099", "INTEL-SA-00615")),
            an_isv_level(advisories=("INTEL-SA-01036",)),
            has_module=True,
        )

        assert (
            "INTEL-SA-00615",
            "INTEL-SA-00828",
            "INTEL-SA-01036",
            "INTEL-SA-01099",
        ) == found.advisory_ids

    def test_none(self):
        """
        Where no level has any there are none.
        """
        assert () == evaluate(a_level(), an_isv_level()).advisory_ids

    def test_without_a_status(self):
        """
        Levels that are there are spoken of though another one is missing.
        """
        qe = an_isv_level(advisories=("INTEL-SA-00615",))

        assert ("INTEL-SA-00615",) == evaluate(None, qe).advisory_ids


class TestIsvLevels:
    LEVELS = tuple(
        an_isv_level(status, isvsvn=isvsvn)
        for isvsvn, status in [
            (8, UP_TO_DATE),
            (6, OUT_OF_DATE),
            (4, REVOKED),
        ]
    )

    @pytest.mark.parametrize(
        ("isvsvn", "expected"),
        [(65535, 8), (9, 8), (8, 8), (7, 6), (6, 6), (5, 4), (4, 4)],
    )
    def test_find(self, isvsvn, expected):
        """
        The highest level that an ISVSVN reaches is found, equality counting.
        """
        found = find_isv_level(self.LEVELS, isvsvn)

        assert found is not None
        assert expected == found.isvsvn

    @pytest.mark.parametrize("isvsvn", [0, 3])
    def test_too_low(self, isvsvn):
        """
        Below the lowest there is none.
        """
        assert None is find_isv_level(self.LEVELS, isvsvn)

    def test_no_levels(self):
        """
        Nor where there are no levels.
        """
        assert None is find_isv_level((), 8)

    @pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
    def test_highest_first(self, order):
        """
        Levels in any order are sorted, the highest ISVSVN first.
        """
        given_ones = [self.LEVELS[i] for i in order]

        assert self.LEVELS == highest_first(given_ones)
