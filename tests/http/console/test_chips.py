"""
Pages of AMD machines: which there are, and how one meets the minimum.
"""

import re

import pytest

from tests.http.console.browser import NARROW, browsing, looking
from tests.http.console.fleet_console import serving_fleet, visit
from tests.http.console.visitor import read_text
from tests.made_amd import CHIP, MILAN, TCB, endorsement, vcek
from tests.needs import needs_chromium
from tests.platforms import NOW
from tests.tenants import Decisions
from thim.amd.tcb import ProductLine, TcbVersion
from thim.collateral.chips import Chip
from thim.store.ledger import Ledger


LIST = "/console/chips"
FIRST = f"{LIST}/Milan/{'01' * 64}"
MINIMUM = {"Milan": {"snp": {"spl": 9, "source": "AMD-SB-1"}}}


@pytest.fixture(scope="module")
def shared(intel, tmp_path_factory):
    """
    A service with one chip, chip-1, which nobody changes.
    """
    with serving_fleet(intel, tmp_path_factory.mktemp("chips")) as running:
        yield running


@pytest.fixture
def api(intel, tmp_path):
    """
    A service with one chip, chip-1.
    """
    with serving_fleet(intel, tmp_path) as running:
        yield running


@pytest.fixture
def put(api, intel):
    """
    Tell of more chips.
    """

    def tell(*names, product=MILAN, hw_id=None, **parts):
        size = product.hw_id_size
        chips = [
            Chip(
                product=product,
                hw_id=hw_id or name.encode().rjust(size, b"\2")[-size:],
                tcb=TcbVersion(product=product, **parts),
                name=name,
            )
            for name in names
        ]
        with Ledger(api.store, intel.anchors) as ledger:
            for chip in chips:
                ledger.chip_table.put(chip, actor="agent-1", now=NOW)

    return tell


def listed(got):
    """
    Which chips a page lists, by name.
    """
    assert 200 == got.status, read_text(got)
    return re.findall(r'data-label="Chip"><a [^>]+>([^<]+)', got.body.decode())


def demand(api, intel):
    """
    Have the tenant of all ask for a higher TCB than the chip has.
    """
    Decisions().baseline("strict", "17", amd=MINIMUM).tenant(
        "strict", "strict"
    ).write(api.store, intel.anchors)


class TestList:
    def test_all(self, shared):
        """
        Chips in service are listed with what is known of them.
        """
        got = visit(shared).get(LIST)
        text = read_text(got)

        assert ["chip-1"] == listed(got)
        assert "Milan 010101010101… 0008000000000000 declared missing" in text

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("begins=node", ["node-1"]),
            ("begins=01010101", ["chip-1"]),
            ("begins=FFFFFFFF", []),
            ("product=Turin", ["node-1"]),
            ("product=Genoa", []),
            ("state=declared", ["chip-1", "node-1"]),
            ("state=without-vcek", ["chip-1", "node-1"]),
            ("state=retired", []),
        ],
    )
    def test_filter(self, api, put, query, names):
        """
        A filter leaves those that it names.
        """
        put("node-1", product=ProductLine.TURIN)

        assert names == listed(visit(api).get(f"{LIST}?{query}"))

    def test_long_name(self, api, put):
        """
        What is no hardware ID is a name, however long.
        """
        put("node-of-rack")

        assert ["node-of-rack"] == listed(
            visit(api).get(f"{LIST}?begins=node-of-ra")
        )

    def test_retired(self, api, intel):
        """
        One that is out of service is listed as that, and judged no more.
        """
        demand(api, intel)
        with Ledger(api.store, intel.anchors) as ledger:
            ledger.chip_table.retire("Milan", b"\1" * 64, actor="root", now=NOW)
        visitor = visit(api)
        got = visitor.get(f"{LIST}?state=retired")

        assert ["010101010101…"] == listed(got)
        assert "below" not in read_text(got)
        assert "Out of service" in read_text(visitor.get(FIRST))

    def test_pages(self, api, put):
        """
        A long list goes on with its next page.
        """
        put(*(f"node-{i:02}" for i in range(60)))
        visitor = visit(api)
        pages = [listed(visitor.get(f"{LIST}?page={n}")) for n in (0, 1)]

        assert [50, 11] == list(map(len, pages))
        assert 61 == len({name for page in pages for name in page})

    @pytest.mark.parametrize("query", ["state=x", "product=Rome", "page=2001"])
    def test_wrong(self, shared, query):
        """
        A field that cannot be used is named.
        """
        got = visit(shared).get(f"{LIST}?{query}")

        assert 400 == got.status
        assert f"{query.partition('=')[0]}: got" in read_text(got)

    def test_hostile(self, api, put):
        """
        What a chip is called is shown, and nothing else is made of it.
        """
        put("<script>alert(1)</script>")
        got = visit(api).get(LIST)

        assert b"<script>alert" not in got.body
        assert "<script>alert(1)</script>" in read_text(got)

    def test_below(self, api, intel):
        """
        Those below the minimum of a tenant are marked, with the tenant.
        """
        demand(api, intel)

        assert "below strict" in read_text(visit(api).get(LIST))

    def test_tenants(self, shared):
        """
        A tenant's token sees no list of everybody's chips.
        """
        assert 403 == visit(shared, "acme/reader").get(LIST).status

    def test_empty(self, reader):
        """
        Where there is none it says how they come.
        """
        assert "thim agent" in read_text(reader.get(LIST))


class TestOne:
    def test_bare(self, shared):
        """
        A chip without its key says how to have it fetched.
        """
        text = read_text(visit(shared).get(FIRST))

        assert "The VCEK for its TCB is not there yet" in text
        assert f"thim collateral prefetch --chip Milan:{'01' * 64}" in text
        assert "snp 8" in text

    def test_below(self, api, intel):
        """
        What is below the minimum is named, with what asks for it.
        """
        demand(api, intel)
        text = read_text(visit(api).get(FIRST))

        assert "Below the minimum of strict" in text
        assert "snp is 8, 9 is needed (AMD-SB-1) → firmware" in text

    def test_key(self, api, intel, put):
        """
        The keys that are held of a chip are listed, and it is well then.
        """
        parts = {"bootloader": 4, "snp": 24, "microcode": 219}
        put("mine", hw_id=CHIP, **parts)
        with Ledger(api.store, intel.anchors) as ledger:
            ledger.endorsements.add(endorsement(vcek()))
        text = read_text(visit(api).get(f"{LIST}/Milan/{CHIP.hex()}"))

        assert TCB == TcbVersion(product=MILAN, **parts)
        assert "Its VCEK is there, and it meets every minimum" in text
        assert 2 == text.count(TCB.tcbm)

    @pytest.mark.parametrize(
        "path", ["/Milan/00", "/Rome/00", "/Milan/x", "/Turin/" + "01" * 64]
    )
    def test_nobody(self, shared, path):
        """
        What names no chip is not found.
        """
        assert 404 == visit(shared).get(LIST + path).status


@needs_chromium
class TestBrowser:
    def test_looks(self, intel, tmp_path_factory):
        """
        In a browser a person filters the list without loading it anew, and
        opens a chip, at either width and without a complaint.
        """
        found = {}
        folder = tmp_path_factory.mktemp("chips")
        with serving_fleet(intel, folder) as api, browsing() as browser:
            demand(api, intel)
            for width in NARROW:
                with looking(browser, api.served.url, width) as look:
                    look.log_in(api.tokens["reader"])
                    look.open(LIST)
                    look.keep("chips")
                    complaints = look.complaints()
                    look.page.select_option("#product", "Milan")
                    look.page.click("text=Show")
                    look.page.wait_for_url("**product=Milan**")
                    look.page.click("text=chip-1")
                    look.keep("chip")
                    found[width] = [*complaints, *look.complaints()]
                    assert look.page.title().startswith("chip-1")

        assert {width: [] for width in NARROW} == found
