"""
Pages of platforms: which there are, and how one stands.
"""

import contextlib
import re
import sqlite3

import pytest

from tests.http.console.browser import NARROW, browsing, looking
from tests.http.console.fleet_console import serving_fleet, visit, work_out
from tests.http.console.visitor import read_text
from tests.needs import needs_chromium
from tests.platforms import NOW, entry, platform_id, tcbm
from thim.collateral.platforms import RegisteredBy
from thim.store.ledger import Ledger
from thim.store.pck import PckReader
from thim.store.replica import Replica


LIST = "/console/platforms"


def address(name):
    """
    The address of the page of a platform.
    """
    id_ = platform_id(name)
    return f"{LIST}/{id_.qe_id.hex().upper()}/{id_.pce_id.hex().upper()}"


@pytest.fixture(scope="module")
def shared(intel, tmp_path_factory):
    """
    A service with two platforms of acme's and one of lab's; nobody changes
    anything.
    """
    with serving_fleet(intel, tmp_path_factory.mktemp("platforms")) as running:
        yield running


@pytest.fixture
def api(intel, tmp_path):
    """
    A service with two platforms of acme's and one of lab's.
    """
    with serving_fleet(intel, tmp_path) as running:
        yield running


@pytest.fixture
def enter(api, intel):
    """
    Put more platforms into the store.
    """

    def put(*names, **changes):
        with Ledger(api.store, intel.anchors) as ledger:
            entries = [entry(intel, who, name=who, **changes) for who in names]
            ledger.platforms.enter(entries, NOW)

    return put


def listed(got):
    """
    Which platforms a page lists, by name.
    """
    assert 200 == got.status, read_text(got)
    return re.findall(
        r'data-label="Platform"><a [^>]+>([^<]+)', got.body.decode()
    )


class TestList:
    def test_all(self, shared):
        """
        Platforms in service are listed with what is known of them.
        """
        got = visit(shared).get(LIST)

        assert ["acme-good", "acme-short", "lab-td"] == listed(got)
        assert "00606A000000" in read_text(got)
        assert "of=acme" in read_text(got)

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("begins=acme-s", ["acme-short"]),
            (f"begins={platform_id('lab-td').qe_id.hex()}", ["lab-td"]),
            (f"begins={platform_id('lab-td')}", ["lab-td"]),
            ("label=of%3Dlab", ["lab-td"]),
            ("fmspc=00606a000000&ca=processor", []),
            ("fmspc=00806F050000", []),
            ("state=retired", []),
            ("state=replaced", []),
            ("state=without-certificate", []),
            ("state=revoked", []),
            ("begins=acme&state=revoked", []),
        ],
    )
    def test_filter(self, shared, query, names):
        """
        A filter leaves those that it names.
        """
        assert names == listed(visit(shared).get(f"{LIST}?{query}"))

    def test_bare(self, api, enter):
        """
        Those that no certificate is known of are found by that.
        """
        enter("bare", registered_by=RegisteredBy.ENCRYPTED_PPID)
        got = visit(api).get(f"{LIST}?state=without-certificate")

        assert ["bare"] == listed(got)
        assert "no PCK certificate" in read_text(got)

    @pytest.mark.parametrize("query", ["", "&begins=acme", "&label=of%3Dacme"])
    def test_revoked(self, api, query):
        """
        Those with a revoked certificate are found by that, and marked.
        """
        with contextlib.closing(sqlite3.connect(api.store)) as db, db:
            db.execute(
                "UPDATE pck_certificates SET is_revoked = 1 WHERE id / 1024 = "
                "(SELECT id FROM platforms WHERE name = 'acme-short')"
            )
        visitor = visit(api)
        got = visitor.get(f"{LIST}?state=revoked{query}")

        assert ["acme-short"] == listed(got)
        assert "platform revoked" in read_text(got)
        assert "Its PCK certificate: revoked; verifiers refuse its quotes" in (
            read_text(visitor.get(address("acme-short")))
        )

    @pytest.mark.parametrize("query", ["?", "?begins=node&"])
    def test_pages(self, api, enter, query):
        """
        A long list goes on where its page ends, and each is listed once.
        """
        enter(*(f"node-{i:02}" for i in range(60)))
        found, where = [], LIST + query
        while where:
            got = visit(api).get(where)
            found.append(listed(got))
            match = re.search(r'rel="next" href="([^"]+)"', got.body.decode())
            where = match and match[1].replace("&amp;", "&")
        names = [name for page in found for name in page]

        assert 50 == len(found[0])
        assert len(names) == len(set(names))
        assert {f"node-{i:02}" for i in range(60)} <= set(names)

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("label=x", "expected KEY=VALUE"),
            ("fmspc=12", "fmspc: got '12'"),
            ("state=lost", "state: got 'lost', expected in-service or"),
            ("ca=mine", "ca: got 'mine', expected"),
            ("after=x", "after: got 'x', expected the end of a page"),
            (f"begins={'x' * 401}", "expected at most 400 characters"),
        ],
    )
    def test_wrong(self, shared, query, said):
        """
        A field that cannot be used is named.
        """
        got = visit(shared).get(f"{LIST}?{query}")

        assert 400 == got.status
        assert said in read_text(got)

    def test_hostile(self, api, enter):
        """
        What a platform is called is shown, and nothing else is made of it.
        """
        enter("<script>alert(1)</script>", labels={"x": "\"'><b>"})
        got = visit(api).get(LIST)

        assert b"<script>alert" not in got.body
        assert b"<b>" not in got.body
        assert "<script>alert(1)</script>" in read_text(got)

    def test_families(self, api, intel):
        """
        How many there are of each family is drawn, once it was worked out.
        """
        visitor = visit(api)
        before = visitor.get(LIST).body.decode()
        work_out(api, intel)
        after = visitor.get(LIST).body.decode()

        assert "<svg" not in before
        assert "00606A000000: platforms 3" in after

    def test_tenants(self, shared):
        """
        A tenant's token sees no list of everybody's platforms.
        """
        assert 403 == visit(shared, "acme/reader").get(LIST).status


class TestEmpty:
    def test_said(self, reader):
        """
        Where there is none it says how to register some.
        """
        assert "thim platform import" in read_text(reader.get(LIST))


class TestOne:
    def test_good(self, shared):
        """
        A platform at the baseline of its tenants is said to be so.
        """
        text = read_text(visit(shared).get(address("acme-good")))

        assert "At the baseline of every tenant that has it" in text
        assert "acme 17 SGX UpToDate nothing" in text
        assert "lab 17" not in text

    def test_behind(self, api, intel):
        """
        What is behind is named with what mends it, for each tenant.
        """
        with Ledger(api.store, intel.anchors) as ledger:
            low = tcbm(2, *[4] * 15)
            labels = {"of": "acme"}
            one = entry(intel, "old", low, raw=(low,), labels=labels)
            ledger.platforms.enter([one], NOW)
        text = read_text(visit(api).get(address("old")))

        assert "Below the baseline of acme, all" in text
        assert "SGX OutOfDate" in text
        assert "has the SVN 2, 3 is needed" in text
        assert "INTEL-SA-00002" in text

    def test_tdx(self, shared):
        """
        Where evidence has told its TDX SVNs it is judged for TDX too.
        """
        text = read_text(visit(shared).get(address("lab-td")))

        assert "lab 17 SGX UpToDate" in text
        assert "lab 17 TDX UpToDate" in text

    def test_certificates(self, shared):
        """
        It shows the certificates, and which one the platform gets and why.
        """
        text = read_text(visit(shared).get(address("acme-short")))

        assert "03040404040404040404040404040404 11" in text
        assert "made for this very TCB" in text

    def test_secrets(self, api, enter):
        """
        Neither an encrypted PPID nor a manifest is on any page.
        """
        enter(
            "kept",
            registered_by=RegisteredBy.ENCRYPTED_PPID,
            enc_ppid=b"\xab" * 384,
            manifest=b"\xcd" * 500,
        )
        got = visit(api, "admin").get(address("kept"))

        assert "encrypted PPID and manifest (never shown)" in read_text(got)
        assert b"ABABABAB" not in got.body.upper()
        assert b"CDCDCDCD" not in got.body.upper()

    def test_replaced(self, api, intel):
        """
        One that was replaced leads to the one that took its place.
        """
        with contextlib.closing(Replica(api.store)) as replica:
            reader = PckReader(replica)
            old, new = map(reader.find_by_name, ("lab-td", "acme-good"))
        assert old is not None
        assert new is not None
        with Ledger(api.store, intel.anchors) as ledger:
            ledger.platforms.replace(old.row, new.row, actor="root", now=NOW)
        visitor = visit(api)
        got = visitor.get(address("lab-td"))

        assert ["lab-td"] == listed(visitor.get(f"{LIST}?state=replaced"))
        assert "Out of service" in read_text(got)
        assert address("acme-good") in got.body.decode()

    @pytest.mark.parametrize(
        "path", ["/00/0000", f"/{'0' * 32}/0000", f"/{'x' * 32}/0000"]
    )
    def test_nobody(self, shared, path):
        """
        What names no platform is not found.
        """
        assert 404 == visit(shared).get(LIST + path).status


@needs_chromium
class TestBrowser:
    def test_looks(self, intel, tmp_path_factory):
        """
        In a browser a person filters the list without loading it anew, and
        opens a platform, at either width and without a complaint.
        """
        found = {}
        folder = tmp_path_factory.mktemp("platforms")
        with serving_fleet(intel, folder) as api, browsing() as browser:
            work_out(api, intel)
            for width in NARROW:
                with looking(browser, api.served.url, width) as look:
                    look.log_in(api.tokens["reader"])
                    look.open(LIST)
                    look.keep("platforms")
                    complaints = look.complaints()
                    look.page.fill("#begins", "acme-s")
                    look.page.click("text=Show")
                    look.page.wait_for_url("**begins=acme-s**")
                    look.page.fill("#label", "x")
                    look.page.click("text=Show")
                    look.page.wait_for_selector("text=expected KEY=VALUE")
                    # That it was refused is told to programmers, too.
                    look.troubles.clear()
                    look.page.go_back()
                    look.page.click("text=acme-short")
                    look.keep("platform")
                    found[width] = [*complaints, *look.complaints()]
                    title = look.page.title()
                    assert title.startswith("acme-short")

        assert {width: [] for width in NARROW} == found
