"""
What becomes of a tenant's platforms, counted.
"""

import pytest

from tests.http.admin_api import fill_fleet
from tests.platforms import NOW
from tests.tenants import Decisions
from thim.services.judging import FleetJudge
from thim.services.moves import make_move


AMD = {"Milan": {"snp": {"spl": 9, "source": "a bulletin"}}}


@pytest.fixture
def judge(store, ledger, replica, intel):
    """
    Tell what a baseline makes of a tenant's platforms.
    """
    fill_fleet(store, intel)
    Decisions().tenant("new", "18", labels={"of": "acme"}).baseline(
        "amd", "number: 17", amd=AMD
    ).tenant("short", "amd").write(store, intel.anchors)

    def judge(tenant, baseline):
        book = replica.book()
        found = book.find_tenant(tenant, NOW, NOW)
        there = book.find_baseline(baseline, NOW, NOW, tenant)
        move = make_move(replica, found, there, NOW)
        return FleetJudge(replica, NOW).judge(move)

    return judge


class TestUnacceptable:
    @pytest.mark.parametrize(
        ("tenant", "baseline", "expected"),
        [
            ("acme", "18", (2, 1, 0)),
            ("new", "17", (2, 0, 1)),
            ("all", "amd", (4, 1, 0)),
            ("short", "17", (4, 0, 1)),
            ("short", "18", (4, 2, 1)),
        ],
    )
    def test_counted(self, judge, tenant, baseline, expected):
        """
        What is not acceptable even before, a chip below the minimum too, is
        counted apart from what breaks.
        """
        found = judge(tenant, baseline)

        assert expected == (found.judged, found.breaking, found.unacceptable)
