"""
Lists of many tenants: those with trouble first, so many, and a filter.
"""

import json
import re

import pytest

from tests.http.console.decided_world import deciding_console
from tests.http.console.visitor import read_text
from tests.platforms import NOW
from tests.tenants import Decisions
from thim.store.ledger import Ledger


BEHIND = {"t40": 3, "t41": 7}
NOWHERE = ["t50", "t51"]


@pytest.fixture(scope="module")
def many(intel, tmp_path_factory):
    """
    A service with sixty tenants more: two stand at no number, and two have
    platforms that are behind.
    """
    folder = tmp_path_factory.mktemp("many")
    with deciding_console(intel, folder) as world:
        decisions = Decisions()
        for n in range(60):
            name = f"t{n:02}"
            decisions.tenant(name, "99" if name in NOWHERE else "17")
        decisions.write(world.api.store, intel.anchors)
        bodies = {
            name: json.dumps(outlook("OutOfDate", amount))
            for name, amount in BEHIND.items()
        } | {"t10": json.dumps(outlook("UpToDate", 9))}
        with Ledger(world.api.store, intel.anchors) as ledger:
            ledger.outlooks.put(bodies, NOW)
        yield world.visit("reader")


def outlook(standing, amount):
    """
    How the platforms of a tenant stand, as it is worked out.
    """
    each = {"tee": "SGX", "standing": standing, "platforms": amount}
    return {"standings": [each]}


def list_names(got):
    """
    Return the tenants in the table of a page.
    """
    return re.findall(
        r'data-label="Tenant"><a href="/console/tenants/([^"]+)"',
        got.body.decode(),
    )


class TestOverview:
    def test_most(self, many):
        """
        Of many tenants twelve are shown, and how many there are.
        """
        got = many.get("/console/")

        assert 12 == len(list_names(got))
        assert "12 of 64 tenants, those with trouble first" in read_text(got)

    def test_trouble_first(self, many):
        """
        Who stands nowhere is first, then who has most platforms behind.
        """
        assert [*NOWHERE, "t41", "t40"] == list_names(many.get("/console/"))[:4]

    def test_bars(self, many):
        """
        Only of the tenants that are shown there are bars.
        """
        page = many.get("/console/").body.decode()
        bars = set(re.findall(r"<title>(t\d\d), SGX: ", page))

        assert {"t40", "t41"} == bars

    def test_rest(self, many):
        """
        There is a way to all of them, and to those with trouble.
        """
        page = many.get("/console/").body.decode()

        assert '<a href="/console/tenants">All tenants</a>' in page
        assert (
            '<a href="/console/tenants?which=trouble">4 with trouble</a>'
            in page
        )

    def test_concern(self, many):
        """
        That tenants stand nowhere is one concern, which leads to them.
        """
        got = many.get("/console/")

        assert "tenants t50, t51: nothing is known" in read_text(got)
        assert (
            '<a href="/console/tenants?which=trouble">which</a>'
            in got.body.decode()
        )


class TestFilter:
    def test_trouble(self, many):
        """
        Those with trouble are listed, the worst first.
        """
        got = many.get("/console/tenants?which=trouble")

        assert [*NOWHERE, "t41", "t40"] == list_names(got)
        assert "4 of 64 tenants" in read_text(got)

    def test_name(self, many):
        """
        A part of the name is enough.
        """
        got = many.get("/console/tenants?text=T5")

        assert [f"t{n}" for n in range(50, 60)] == list_names(got)

    def test_both(self, many):
        """
        Both hold at once.
        """
        got = many.get("/console/tenants?text=t4&which=trouble")

        assert ["t41", "t40"] == list_names(got)

    def test_nobody(self, many):
        """
        Where there is none, that is said.
        """
        got = many.get("/console/tenants?text=zebra")

        assert "No tenant is like that." in read_text(got)

    def test_pages(self, many):
        """
        Pages keep the filter.
        """
        page = many.get("/console/tenants?text=t").body.decode()

        assert 'href="/console/tenants?text=t&amp;page=1"' in page

    def test_unknown(self, many):
        """
        What there is no choice of is named.
        """
        got = many.get("/console/tenants?which=x")

        assert 400 == got.status
        assert "which: got" in read_text(got)


class TestPlayground:
    def test_suggested(self, intel, tmp_path):
        """
        Any tenant can be named, and of many two hundred are suggested.
        """
        decisions = Decisions()
        for n in range(210):
            decisions.tenant(f"t{n:03}", "17")
        with deciding_console(intel, tmp_path) as world:
            decisions.write(world.api.store, intel.anchors)
            got = world.visit("reader").get("/console/playground")
        page = got.body.decode()
        names = re.search(r'<datalist id="tenants">(.*?)</datalist>', page)

        assert names is not None
        assert 200 == names[1].count("<option")
        assert 'list="tenants" value="root"' in page
