"""
Evaluation numbers in the console: what each is worth, and how two differ.
"""

import re

import pytest

from tests.http.console.archived import FMSPC, archived, day, log_in, take
from tests.http.console.browser import NARROW, browsing, looking
from tests.http.console.visitor import read_text
from tests.needs import needs_chromium
from thim.store.ledger import Ledger


@pytest.fixture(scope="module")
def running(intel, tmp_path_factory):
    """
    A service with documents of three numbers.
    """
    with archived(intel, tmp_path_factory.mktemp("numbers")) as running:
        yield running


@pytest.fixture(scope="module")
def reader(running):
    """
    Somebody who may look.
    """
    return log_in(running)


class TestEach:
    def test_worth(self, reader):
        """
        Of each number it is told when it began, whether it is signed, until
        when its documents pass, and who stands there.
        """
        text = read_text(reader.get("/console/numbers"))

        assert (
            "19 standard 2026-01-04 2026-01-05 signed by 2026-08-02 or earlier "
            "2026-09-19 12:00 10 default, standard root"
        ) in text
        assert (
            "18 2025-01-09 2025-01-10 withdrawn 2026-08-27 – expired "  # noqa: RUF001
            "2026-05-29 12:00 15"
        ) in text

    def test_forecast(self, reader):
        """
        When a number will be standard is told, and how good that is.
        """
        text = read_text(reader.get("/console/numbers"))

        assert "20 early 2026-07-03 2026-07-04 signed about 2027-01-29" in text

    def test_timeline(self, reader):
        """
        Its life is drawn from the TCB recovery event on.
        """
        text = read_text(reader.get("/console/numbers"))

        assert "signed, not standard yet: 2026-07-03 12:00 to for ever" in text
        assert "standard: 2026-01-04 12:00 to for ever" in text
        assert "signed, behind standard: 2025-01-09 12:00 to 2026-08-27" in text

    def test_suggested(self, intel, tmp_path):
        """
        Two are suggested to be compared, also where some tenant stands at the
        newest.
        """
        with archived(intel, tmp_path) as running:
            admin = log_in(running, "admin")
            wanted = {
                "name": "new",
                "baseline": "20",
                "overrides": "never",
                "per": "address",
                "reason": "a customer",
            }
            made = admin.send("/console/tenants", "/console/tenants", wanted)
            got = admin.get("/console/numbers")
        chosen = re.findall(r"<option selected>(\d+)<", got.body.decode())

        assert 303 == made.status
        assert ["19", "20"] == chosen

    def test_none(self, console):
        """
        Where nothing is known the page says what to do.
        """
        text = read_text(log_in(console).get("/console/numbers"))

        assert "No number is known yet. thim collateral import" in text


class TestSideBySide:
    def test_differing(self, reader):
        """
        What differs is told by document: statuses, what is asked for, levels.
        """
        got = reader.get("/console/numbers?before=19&after=20")
        text = read_text(got)

        assert "1 document differs, 2 new advisories." in text
        assert f"TCB info of SGX {FMSPC} Issued 2026-08-20 12:00" in text
        assert "1 level: UpToDate, then OutOfDate" in text
        assert "SGX component 1 4 5 bios-or-microcode" in text
        assert "UpToDate 2024-03-13 OutOfDate 2024-03-13 INTEL-SA-00615" in text
        assert "Without a difference: 4" in text

    def test_backwards(self, reader):
        """
        The other way round advisories have gone.
        """
        got = reader.get("/console/numbers?before=20&after=19")
        text = read_text(got)

        assert (
            "New advisories – Advisories gone INTEL-SA-00615 , INTEL-SA-09999"  # noqa: RUF001
        ) in text

    def test_advisory(self, reader):
        """
        An advisory leads to Intel's page, which is not told where from.
        """
        got = reader.get("/console/numbers?before=19&after=20")

        assert (
            '<a href="https://www.intel.com/content/www/us/en/security-center/'
            'advisory/intel-sa-00615.html" rel="noreferrer">'
        ) in got.body.decode()

    def test_same(self, reader):
        """
        That nothing differs is told.
        """
        got = reader.get("/console/numbers?before=18&after=19")

        assert "Nothing differs of what both have." in read_text(got)

    def test_fmspc(self, reader):
        """
        One FMSPC is looked at alone; what neither has is told.
        """
        text = read_text(
            reader.get("/console/numbers?before=19&after=20&fmspc=00606a000000")
        )

        assert "19 does not have: 1 TCB info of SGX 00606A000000" in text
        assert "20 does not have: 1 TCB info of SGX 00606A000000" in text

    def test_hostile(self, intel, tmp_path):
        """
        What an advisory is called is shown, and nothing else is made of it.
        """
        name = '"><script>alert(1)</script>\u202e'
        with archived(intel, tmp_path) as running:
            with Ledger(running.store, intel.anchors) as ledger:
                level = {
                    "tcb": {"isvsvn": 9},
                    "tcbDate": "2024-03-13T00:00:00Z",
                    "tcbStatus": "OutOfDate",
                    "advisoryIDs": [name],
                }
                body = intel.identity(
                    number=20, issued=day(-1), changes={"tcbLevels": [level]}
                )
                take(ledger, intel, body)
            reader = log_in(running)
            got = reader.get("/console/numbers?before=19&after=20")

        assert b"<script>alert" not in got.body
        assert r'"><script>alert(1)</script>\u202e' in read_text(got)

    def test_pages(self, intel, tmp_path):
        """
        Where many documents differ they come in pages, after a list of all.
        """
        with archived(intel, tmp_path) as running:
            with Ledger(running.store, intel.anchors) as ledger:
                bodies = [
                    intel.tcb_info(
                        fmspc=f"{n:012X}",
                        number=number,
                        issued=day(-9),
                        changes={"pceId": f"00{number:02}"},
                    )
                    for n in range(11)
                    for number in (19, 20)
                ]
                take(ledger, intel, *bodies)
            reader = log_in(running)
            query = "before=19&after=20"
            first = reader.get(f"/console/numbers?{query}").body.decode()
            second = reader.get(f"/console/numbers?{query}&page=1")

        assert 10 == len(re.findall("<h2 id=.pair-", first))
        assert "Different: 12" in first
        assert 2 == len(re.findall("<h2 id=.pair-", second.body.decode()))

    @pytest.mark.parametrize(
        ("query", "status", "wrong"),
        [
            ("before=19", 400, "after: got '', expected a number"),
            ("after=19", 400, "before: got '', expected a number"),
            ("before=x&after=19", 400, "before: got 'x', expected 0 to"),
            ("before=1&after=19", 404, "number 1: nothing of it is archived"),
            ("before=18&after=19&fmspc=x", 400, "fmspc: got 'x'"),
        ],
    )
    def test_wrong(self, reader, query, status, wrong):
        """
        What cannot be compared is named.
        """
        got = reader.get(f"/console/numbers?{query}")

        assert status == got.status
        assert wrong in read_text(got)


@needs_chromium
class TestBrowser:
    def test_click_through(self, running):
        """
        In a browser two numbers are chosen and looked at side by side.
        """
        found: dict[tuple[int, str], object] = {}
        with browsing() as browser:
            for width in NARROW:
                with looking(browser, running.served.url, width) as look:
                    look.log_in(running.tokens["reader"])
                    page = look.open("/console/numbers")
                    look.keep("numbers")
                    found[width, "numbers"] = look.complaints()
                    page.select_option("#before", "18")
                    page.click("text=Side by side")
                    page.select_option("#before", "19")
                    page.click("text=Side by side")
                    look.keep("side-by-side")
                    found[width, "differences"] = look.complaints()
                    found[width, "title"] = page.locator("h1").inner_text()

        assert {
            (width, what): end
            for width in NARROW
            for what, end in (
                ("numbers", []),
                ("differences", []),
                ("title", "Number 19 and number 20"),
            )
        } == found
