"""
Quarantine in the console: what was refused, why, and what to do about it.
"""

import hashlib

import pytest

from tests.http.administration import administered
from tests.http.console.archived import day, log_in
from tests.http.console.browser import NARROW, browsing, looking
from tests.http.console.visitor import read_text
from tests.needs import needs_chromium
from thim.store.ledger import Ledger


PAGE = b"<html><script>alert(1)</script> Bad gateway</html>\n"
BYTES = b"\x00\x01binary" * 50
HOSTILE = "x</td><script>alert(1)</script>\u202e"


def address(body, what="document"):
    """
    Where the console has what was refused.
    """
    digest = hashlib.sha256(body).hexdigest()
    return f"/console/quarantine/{what}?sha256={digest}"


@pytest.fixture(scope="module")
def running(intel, tmp_path_factory):
    """
    A service that has refused a few things.
    """
    vendor = "https://vendor.example/sgx/certification/v4/tcb"
    refused = [
        (PAGE, vendor, "unrecognised", "neither JSON nor DER"),
        (BYTES, vendor, "signature-invalid", "no signature of TCB Signing's"),
        (b"", f"{vendor}/{HOSTILE}", "fork", HOSTILE),
        *((b"%d" % n, "old.json", "json", "no JSON") for n in range(60)),
    ]
    folder = tmp_path_factory.mktemp("quarantine")
    with administered(intel, folder) as running:
        with Ledger(running.store, intel.anchors) as ledger:
            for n, (body, source, reason, detail) in enumerate(refused):
                ledger.quarantine(
                    body,
                    source=source,
                    reason=reason,
                    detail=detail,
                    now=day(-n),
                )
        yield running


@pytest.fixture(scope="module")
def reader(running):
    """
    Somebody who may look.
    """
    return log_in(running)


class TestList:
    def test_latest_first(self, reader):
        """
        What was refused is listed, the latest first, with where it came from.
        """
        text = read_text(reader.get("/console/quarantine"))

        assert "63 of 63, the latest first." in text
        assert (
            "unrecognised neither JSON nor DER vendor.example 2026-09-01 12:00"
        ) in text
        assert text.index("neither JSON") < text.index("no signature of")

    def test_reason(self, reader):
        """
        One reason is looked at alone, with what it means and what to do.
        """
        text = read_text(reader.get("/console/quarantine?reason=fork"))

        assert "1 of 63" in text
        assert "fork : There is a second document with this number" in text
        assert "What to do: Compare both" in text

    def test_unknown_reason(self, reader):
        """
        For a reason for which nothing was refused there is nothing.
        """
        text = read_text(reader.get("/console/quarantine?reason=x"))

        assert "Nothing was refused for that reason." in text

    def test_pages(self, reader):
        """
        A long list comes in pages.
        """
        first = reader.get("/console/quarantine?reason=json").body
        second = reader.get("/console/quarantine?reason=json&page=1").body

        assert b'href="/console/quarantine?reason=json&amp;page=1"' in first
        assert (50, 10) == (first.count(b"<tr>") - 1, second.count(b"<tr>") - 1)

    def test_nothing(self, console):
        """
        That nothing was ever refused is told.
        """
        text = read_text(log_in(console).get("/console/quarantine"))

        assert "Nothing was ever refused." in text

    def test_hostile(self, reader):
        """
        What comes from elsewhere is shown, and nothing else is made of it.
        """
        for path in ("/console/quarantine", address(b"")):
            got = reader.get(path)

            assert b"<script>alert" not in got.body
            assert r"x</td><script>alert(1)</script>\u202e" in read_text(got)


class TestOne:
    def test_text(self, reader):
        """
        What is text is shown as it is.
        """
        got = reader.get(address(PAGE))

        assert b"&lt;script&gt;alert(1)&lt;/script&gt; Bad gateway" in got.body
        assert b"<script>alert" not in got.body
        assert "Look at the first bytes" in read_text(got)

    def test_bytes(self, reader):
        """
        What is none is shown in hexadecimal digits.
        """
        text = read_text(reader.get(address(BYTES)))

        assert "0000 00 01 62 69 6e 61 72 79 00 01" in text
        assert "..binary..binary" in text
        assert "It was altered, or signed by somebody else." in text

    def test_empty(self, reader):
        """
        What was empty is said to be.
        """
        assert "It was empty." in read_text(reader.get(address(b"")))

    def test_download(self, reader):
        """
        What is kept is to be had, as a file that no browser shows.
        """
        got = reader.get(address(PAGE, "body"))

        assert PAGE == got.body
        assert ("application/octet-stream", "nosniff") == (
            got["content-type"],
            got["x-content-type-options"],
        )

    @pytest.mark.parametrize("what", ["document", "body"])
    @pytest.mark.parametrize(
        ("query", "status", "wrong"),
        [
            ("", 400, "sha256: got '', expected 64 hexadecimal digits"),
            ("sha256=xx", 400, "sha256: got 'xx', expected 64 hexadecimal"),
            (f"sha256={'0' * 64}", 404, "is in quarantine"),
        ],
        ids=["none", "short", "unknown"],
    )
    def test_wrong(self, reader, what, query, status, wrong):
        """
        What is not there is told.
        """
        got = reader.get(f"/console/quarantine/{what}?{query}")

        assert status == got.status
        assert wrong in read_text(got)


@needs_chromium
class TestBrowser:
    def test_click_through(self, running):
        """
        In a browser a reason is chosen without loading the page anew, and what
        was refused is opened.
        """
        found: dict[tuple[int, str], object] = {}
        with browsing() as browser:
            for width in NARROW:
                with looking(browser, running.served.url, width) as look:
                    look.log_in(running.tokens["reader"])
                    page = look.open("/console/quarantine")
                    look.keep("quarantine")
                    found[width, "list"] = look.complaints()
                    page.select_option("#reason", "signature-invalid")
                    page.wait_for_url("**reason=signature-invalid")
                    page.locator("tbody th a").first.click()
                    look.keep("refused")
                    found[width, "one"] = look.complaints()
                    found[width, "dump"] = "binary" in page.inner_text("pre")

        assert {
            (width, what): end
            for width in NARROW
            for what, end in (("list", []), ("one", []), ("dump", True))
        } == found
