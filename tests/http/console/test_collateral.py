"""
Documents in the console: what there is of them, and the history of one.
"""

import hashlib
import html
import json
import re

import pytest

from tests.http.console.archived import (
    DOCUMENT,
    FMSPC,
    archived,
    day,
    list_bodies,
    log_in,
    take,
)
from tests.http.console.browser import NARROW, browsing, looking
from tests.http.console.visitor import Visitor, read_text
from tests.needs import needs_chromium
from thim.collateral.targets import Target
from thim.services.tokens import Role, make_token
from thim.store.agenda import Settlement
from thim.store.ledger import Ledger


PAGE = f"/console/collateral/document?name={DOCUMENT}"


@pytest.fixture(scope="module")
def running(intel, tmp_path_factory):
    """
    A service with documents that have a history, one of them in vain asked for
    anew.
    """
    with archived(intel, tmp_path_factory.mktemp("archived")) as running:
        with Ledger(running.store, intel.anchors) as ledger:
            target = Target.from_name(f"{DOCUMENT}?number=20")
            ledger.agenda.plan(target, day(1), day(-1))
            for n in (-0.5, -0.25):
                ledger.agenda.claim(
                    target, "test", now=day(n), until=day(n + 0.01)
                )
                settlement = Settlement(
                    due=day(n + 0.5),
                    answered=False,
                    reason="timeout",
                    detail="<b>nobody</b>\u202e answered",
                )
                ledger.agenda.settle(target, "test", settlement, now=day(n))
        yield running


@pytest.fixture(scope="module")
def reader(running):
    """
    Somebody who may look.
    """
    return log_in(running)


def rows(got):
    """
    The rows of the first table, as text.
    """
    body = got.body.decode().partition("<tbody>")[2].partition("</tbody>")[0]
    texts = [re.sub(r"<[^>]+>", " ", row) for row in body.split("</tr>")]
    return [" ".join(html.unescape(text).split()) for text in texts[:-1]]


class TestList:
    def test_each_once(self, reader):
        """
        A document stands there once with its newest version of each number.
        """
        got = reader.get(f"/console/collateral?text={FMSPC}")

        assert [
            f"{DOCUMENT} 20 stale 2026-08-07 12:00 2026-09-06 12:00",
            f"{DOCUMENT} 19 due 2026-08-20 12:00 2026-09-19 12:00",
            f"{DOCUMENT} 18 expired 2026-04-29 12:00 2026-05-29 12:00",
        ] == [" ".join(row.split()[:7]) for row in rows(got)]

    def test_asking(self, reader):
        """
        How asking for it goes stands beside it, and whether it is asked for.
        """
        got = reader.get(f"/console/collateral?text={FMSPC}")
        newest, middle, oldest = rows(got)

        assert newest.endswith("timeout 2 in a row, 2026-09-01 18:00")
        assert middle.endswith("not asked for yet")
        assert oldest.endswith("not kept fresh")

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("kind=pck-crl", 2),
            ("vendor=amd", 0),
            ("number=19", 5),
            ("state=stale", 5),
            ("state=stale&kind=tcb-info", 1),
            ("kept=no", 5),
            ("kept=yes&state=missing", 0),
            ("text=TD-QE", 3),
            ("text=number%3D20", 5),
        ],
    )
    def test_filter(self, reader, query, found):
        """
        Only what is looked for is listed.
        """
        got = reader.get(f"/console/collateral?{query}")

        assert f"{found} of 20 documents." in read_text(got)
        assert found == len(rows(got))

    @pytest.mark.parametrize(
        ("query", "wrong"),
        [
            ("kind=x", "kind: got 'x', expected tcb-info, identity"),
            ("state=x", "state: got 'x', expected fresh, due"),
            ("kept=x", "kept: got 'x', expected yes, no"),
            ("number=x", "number: got 'x', expected 0 to"),
            ("page=-1", "page: got '-1', expected 0 to"),
        ],
    )
    def test_wrong(self, reader, query, wrong):
        """
        A field with a value that it cannot have is named.
        """
        got = reader.get(f"/console/collateral?{query}")

        assert 400 == got.status
        assert wrong in read_text(got)

    def test_missing(self, intel, tmp_path):
        """
        What is promised and not there is listed.
        """
        other = "00606A000000"
        with archived(intel, tmp_path) as running:
            with Ledger(running.store, intel.anchors) as ledger:
                body = intel.tcb_info(fmspc=other, number=19, issued=day(-3))
                take(ledger, intel, body)
            reader = log_in(running)
            got = reader.get(f"/console/collateral?text={other}")

        assert [
            f"intel/tcb-info/sgx:{other}/3 20 missing",
            f"intel/tcb-info/sgx:{other}/3 19 fresh",
        ] == [" ".join(row.split()[:3]) for row in rows(got)]

    def test_pages(self, intel, tmp_path):
        """
        A long list comes in pages, which keep what is looked for.
        """
        with archived(intel, tmp_path) as running:
            with Ledger(running.store, intel.anchors) as ledger:
                bodies = [
                    intel.tcb_info(fmspc=f"{n:012X}", number=18, issued=day(-9))
                    for n in range(51)
                ]
                take(ledger, intel, *bodies)
            reader = log_in(running)
            query = "kind=tcb-info&number=18"
            first = reader.get(f"/console/collateral?{query}")
            (link,) = re.findall(
                r'rel="next" href="([^"]+)"', first.body.decode()
            )
            second = reader.get(html.unescape(link))

        assert (50, 2) == (len(rows(first)), len(rows(second)))
        assert 'rel="next"' not in second.body.decode()

    def test_nothing(self, console):
        """
        Where nothing is archived it is told what is promised.
        """
        got = log_in(console).get("/console/collateral?kind=tcb-info")
        every = log_in(console).get("/console/collateral")

        assert "Show all" in read_text(got)
        assert "missing" in read_text(every)


class TestTenants:
    @pytest.mark.parametrize(
        "path",
        ["collateral", f"collateral/document?name={DOCUMENT}", "numbers"],
    )
    def test_refused(self, intel, running, path):
        """
        A token of a tenant sees nothing of what is everybody's.
        """
        text, kept = make_token(
            "theirs", Role.READER, actor="root", now=day(0), tenant="acme"
        )
        with Ledger(running.store, intel.anchors) as ledger:
            ledger.tokens.add(kept)
        visitor = Visitor(running.served)
        visitor.log_in(text)
        got = visitor.get(f"/console/{path}")

        assert (403, "tenant") == (got.status, got["thim-reason"])


class TestDocument:
    def test_history(self, reader):
        """
        Every version is drawn and listed, the newest first, and where none was
        valid.
        """
        got = reader.get(PAGE)
        text = read_text(got)

        assert 6 == got.body.count(b">Download<")
        assert "Number 18 : 3 versions, 2026-02-13 12:00" in text
        assert "not covered: 2026-03-15 12:00 to 2026-04-04 12:00" in text
        assert "no document is valid: 2026-03-15 12:00" in text
        assert "Number 19 : 2 versions" in text

    def test_body(self, reader):
        """
        What is served is shown, indented, with its issuer chain.
        """
        got = reader.get(f"{PAGE}&number=20")
        text = read_text(got)

        assert "What is served: number 20" in text
        assert '"tcbEvaluationDataNumber": 20' in text
        assert "Intel SGX TCB Signing Intel SGX Root CA 2018-05-21" in text

    def test_name_of_status(self, reader):
        """
        The name that the command line prints leads there too.
        """
        got = reader.get(f"{PAGE}%3Fnumber%3D18")

        assert "What is served: number 18" in read_text(got)

    def test_failure(self, reader):
        """
        What went wrong with asking is told, and does nothing else.
        """
        got = reader.get(PAGE)

        assert (
            r"timeout <b>nobody</b>\u202e answered (2 in a row)"
            in read_text(got)
        )
        assert b"<b>nobody" not in got.body

    def test_older(self, intel, reader):
        """
        An older version is shown when its digest is followed.
        """
        old = next(b for b in list_bodies(intel) if _is_oldest(b))
        digest = hashlib.sha256(old).hexdigest()
        got = reader.get(f"{PAGE}&sha256={digest}")

        assert "One version: number 18" in read_text(got)
        assert '"issueDate": "2026-02-13T12:00:00Z"' in read_text(got)

    def test_download(self, intel, reader):
        """
        The exact bytes of any version are to be had.
        """
        old = next(b for b in list_bodies(intel) if _is_oldest(b))
        digest = hashlib.sha256(old).hexdigest()
        got = reader.get(
            f"/console/collateral/body?name={DOCUMENT}&sha256={digest}"
        )

        assert old == got.body
        assert (
            "attachment; "
            f'filename="intel-tcb-info-sgx-{FMSPC}-18-{digest[:12]}.json"'
        ) == got["content-disposition"]

    @pytest.mark.parametrize(
        "name",
        [
            f"{DOCUMENT}?number=18",
            f"{DOCUMENT}?number=20",
            "intel/identity/td-qe/2?number=19",
            "intel/pck-crl/platform/0",
            "intel/root-ca-crl/root/0",
            "intel/tcb-evaluation-data-numbers/tdx/1",
        ],
    )
    def test_addresses(self, running, reader, name):
        """
        The addresses that are named serve that document: but for the first,
        where a baseline chooses.
        """
        got = reader.get(
            f"/console/collateral/document?name={name.replace('?', '%3F')}"
        )
        text = html.unescape(got.body.decode())
        paths = re.findall(r"curl -sS 'http://[^/]+([^']+)'", text)
        (digest,) = re.findall(r"<dd><code>(\w{64})</code>", text)
        served = [running.served.get(path) for path in paths]

        assert {200} == {each.status for each in served}
        assert {digest} == {
            hashlib.sha256(each.body).hexdigest()
            for each in (served[1:] if "number" in name else served)
        }

    def test_crl(self, reader):
        """
        Of a revocation list it is told whose it is and what it revokes.
        """
        got = reader.get(
            "/console/collateral/document?name=intel/pck-crl/platform/0"
        )

        assert (
            "A revocation list of Intel SGX PCK Platform CA , number 1: 0 "
            "certificates revoked."
        ) in read_text(got)

    @pytest.mark.parametrize(
        ("path", "status", "reason"),
        [
            ("document?name=x", 400, "name: got 'x', expected VENDOR/"),
            ("document?name=intel/tcb-info/x/9", 404, "neither archived nor"),
            ("document", 400, "name: got ''"),
            (f"document?name={DOCUMENT}&sha256=zz", 400, "64 hexadecimal"),
            (f"document?name={DOCUMENT}&sha256={'0' * 64}", 404, "no version"),
            (f"body?name={DOCUMENT}", 400, "64 hexadecimal"),
            (f"body?name={DOCUMENT}&sha256={'0' * 64}", 404, "no version"),
        ],
    )
    def test_wrong(self, reader, path, status, reason):
        """
        What there is not is told.
        """
        got = reader.get(f"/console/collateral/{path}")

        assert status == got.status
        assert reason in read_text(got)

    def test_promised_only(self, console):
        """
        What is promised and not there has a page, too.
        """
        got = log_in(console).get(
            "/console/collateral/document?name=intel/pck-crl/platform/0"
        )

        assert 200 == got.status
        assert "missing" in read_text(got)
        assert "No version is archived yet." in read_text(got)


def _is_oldest(body):
    info = json.loads(body).get("tcbInfo") if body[:1] == b"{" else None
    return info is not None and info["issueDate"] == "2026-02-13T12:00:00Z"


@needs_chromium
class TestBrowser:
    def test_click_through(self, running):
        """
        In a browser the list is filtered without loading the page anew, a
        document is opened, and an older version of it.
        """
        found: dict[tuple[int, str], object] = {}
        with browsing() as browser:
            for width in NARROW:
                with looking(browser, running.served.url, width) as look:
                    look.log_in(running.tokens["reader"])
                    page = look.open("/console/collateral")
                    look.keep("collateral")
                    found[width, "list"] = look.complaints()
                    page.select_option("#kind", "tcb-info")
                    page.wait_for_url("**kind=tcb-info**")
                    page.select_option("#number", "18")
                    page.wait_for_url("**number=18**")
                    page.click(f"text={DOCUMENT}")
                    look.keep("document")
                    found[width, "document"] = look.complaints()
                    page.locator("#history tbody a, tbody th a").last.click()
                    found[width, "older"] = page.locator("#body").inner_text()

        assert {
            (width, what): end
            for width in NARROW
            for what, end in (
                ("list", []),
                ("document", []),
                ("older", "One version: number 18"),
            )
        } == found
