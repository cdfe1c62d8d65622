"""
Who may send which form, who sees which page, and what is said otherwise.
"""

import datetime
import html
import re
import urllib.parse

import pytest

from tests.http.administration import administered
from tests.http.console.test_headers import HEADERS
from tests.http.console.visitor import Visitor, find_csrf, read_text
from tests.platforms import NOW
from thim.errors import (
    FrequencyError,
    OperatorError,
    UnavailableError,
    UntrustedError,
)
from thim.http.console.guard import find_next, refuse
from thim.http.console.routes import PAGES


#: Forms that change nothing, for whoever may look.
HARMLESS = {"/playground"}
FORMS = sorted(path for path, method, _ in PAGES if method == "POST")
#: Of pages without a part that varies, those about a tenant or about nobody.
OF_TENANTS = {
    "/",
    "/what-if",
    "/tenants",
    "/playground",
    "/decisions",
    "/audit",
}
PLAIN = sorted(
    path for path, method, _ in PAGES if method == "GET" and "{" not in path
)


def send(visitor, path, **headers):
    """
    Send an empty form, but for what says of which session it is; about acme
    or the first plan, where it is about any.
    """
    there = path.replace("{name}", "acme").replace("{plan}", "1")
    return visitor.post(
        f"/console{there}",
        {"csrf": find_csrf(visitor, "/console/playground")},
        **headers,
    )


def find_refused(visitor, reason):
    """
    Send every form; return which are refused for that reason.
    """
    answers = {path: send(visitor, path) for path in FORMS}
    return {
        path
        for path, got in answers.items()
        if (403, [reason]) == (got.status, got.all("thim-reason"))
    }


class TestForms:
    def test_reader(self, calm):
        """
        Who may only look can send no form that changes anything.
        """
        refused = find_refused(calm.visit("reader"), "role")

        assert set(FORMS) - HARMLESS == refused

    def test_tenant(self, calm):
        """
        An administrator of one tenant sends forms of the playground only.
        """
        refused = find_refused(calm.visit("acme/admin"), "tenant")

        assert set(FORMS) - {"/playground", "/playground/token"} == refused

    def test_other_site(self, calm):
        """
        A form that another site has sent is refused, whoever's it is.
        """
        got = send(calm.visit("admin"), "/tenants", Origin="http://x.example")

        assert (403, "cross-site") == (got.status, got["thim-reason"])

    def test_log_out_elsewhere(self, reader):
        """
        No other site logs anybody out.
        """
        got = reader.post("/console/logout", {}, Sec_Fetch_Site="cross-site")

        assert (403, "cross-site") == (got.status, got["thim-reason"])
        assert "set-cookie" not in got

    def test_too_late(self, intel, tmp_path):
        """
        A form that comes after the end of its session is refused, rather than
        answered with a login that would seem to have sent it.
        """
        clock = [NOW]
        with administered(intel, tmp_path, clock=lambda: clock[0]) as running:
            visitor = Visitor(running.served)
            visitor.log_in(running.tokens["admin"])
            csrf = find_csrf(visitor)
            clock[0] = NOW + datetime.timedelta(hours=12)
            got = visitor.post("/console/tenants", {"csrf": csrf})

        assert (401, "session") == (got.status, got["thim-reason"])
        assert "nothing was changed" in read_text(got)


class TestPages:
    def test_tenant(self, calm):
        """
        A tenant's tokens see the pages that are about it, which are those that
        the head of a page leads them to.
        """
        reader = calm.visit("acme/reader")
        statuses = {
            path: reader.get(f"/console{path}").status for path in PLAIN
        }
        page = reader.get("/console/tenants/acme").body.decode()
        head = page.partition("<main")[0]
        linked = set(re.findall(r'href="/console(/[a-z-]*)"', head))

        assert OF_TENANTS == {p for p, s in statuses.items() if s != 403}
        assert OF_TENANTS == linked

    def test_line_break(self, reader):
        """
        A path with a line break behind it is no page.
        """
        got = reader.get("/console/collateral%0A")

        assert (404, "unknown-path") == (got.status, got["thim-reason"])

    def test_head(self, reader):
        """
        Whoever asks for a page's headers alone needs no form for that.
        """
        assert (
            200
            == reader.served.get(
                "/console/", {"Cookie": reader.cookie}, method="HEAD"
            ).status
        )

    def test_not_followed(self, console, reader):
        """
        Where a node does not follow its ledger every page says that it may be
        behind, and others do not.
        """
        before = reader.get("/console/")
        console.served.state["service"].upkeep.lag = b"away"
        after = reader.get("/console/")

        assert "follow its ledger" not in read_text(before)
        assert "does not follow its ledger (away)" in read_text(after)
        assert "away" == after["thim-replica"]

    @pytest.mark.parametrize("path", ["", "login", "nowhere"])
    def test_dangerous(self, reader, path):
        """
        Where other roots count than the vendors' every page says so.
        """
        got = reader.get(f"/console/{path}")

        assert "Test anchors: nothing here can be trusted" in read_text(got)
        assert "test-anchors" == got["thim-dangerous"]

    @pytest.mark.parametrize(
        ("page", "status"),
        [
            ("", 200),
            ("0", 200),
            ("10000", 200),
            ("10001", 400),
            ("-1", 400),
            ("\u0663", 400),
            ("0" * 9, 200),
            ("0" * 10, 400),
            ("9" * 5000, 400),
        ],
    )
    def test_number(self, reader, page, status):
        """
        The number of a page is written in a few digits, and has a bound.
        """
        query = urllib.parse.urlencode({"page": page})

        assert status == reader.get(f"/console/baselines?{query}").status

    def test_turned(self, visitor):
        """
        What somebody has put into a link turns no line of a page around.
        """
        got = visitor.get("/console/login?next=a%E2%80%AEb").body.decode()

        assert 'value="a\\u202eb"' in got
        assert "\u202e" not in got


class TestRefused:
    @pytest.mark.parametrize(
        ("path", "back"),
        [
            ("/tenants", "/console/tenants"),
            ("/tenants/x/delete", "/console/tenants/x"),
        ],
    )
    def test_back(self, calm, path, back):
        """
        Where a form is refused one link leads back to the page that it is on.
        """
        page = send(calm.visit("reader"), path).body.decode()

        assert f'<a href="{back}">Back</a>' in page

    def test_nowhere_back(self, calm):
        """
        A page that is refused leads to the first one, and to no login.
        """
        page = calm.visit("reader").get("/console/plans/new").body.decode()

        assert ">Back</a>" not in page
        assert '<a href="/console/">To the overview</a>' in page

    @pytest.mark.parametrize(
        ("error", "status", "headers"),
        [
            (
                UnavailableError("damage", reason="damaged", retry_after=7),
                503,
                {"thim-reason": "damaged", "retry-after": "7"},
            ),
            # A full disk is nothing that whoever sees it has done wrong.
            (
                OperatorError("full", reason="disk-full"),
                503,
                {"thim-reason": "disk-full", "retry-after": "1"},
            ),
            (
                FrequencyError("often", reason="guessing", retry_after=60),
                429,
                {"thim-reason": "guessing", "retry-after": "60"},
            ),
        ],
    )
    def test_status(self, console, error, status, headers):
        """
        Programs are told what is wrong as the API tells them, and when to come
        again; people read it.
        """
        scope = {
            "state": console.served.state,
            "method": "GET",
            "path": "/console/",
        }
        reply = refuse(scope, error, None, None)
        sent = {name.decode(): v.decode() for name, v in reply.headers}

        assert status == reply.status
        assert headers == {
            name: v
            for name, v in sent.items()
            if name not in HEADERS.keys() | {"content-type"}
        }
        assert str(error) in reply.body.decode()

    def test_internal(self, console):
        """
        What nobody has foreseen is told as that, and no more of it.
        """
        scope = {
            "state": console.served.state,
            "method": "GET",
            "path": "/console/",
        }
        error = UntrustedError("of /var/lib/thim", reason="root-not-pinned")
        reply = refuse(scope, error, None, None)

        assert 500 == reply.status
        assert b"Internal server error." in reply.body
        assert b"/var/lib" not in reply.body
        assert b"root-not-pinned" not in reply.body


class TestLogin:
    def test_header(self, console, visitor):
        """
        Who logs in is whom the form names, whatever else a header shows.
        """
        visitor.post(
            "/console/login",
            {"token": console.tokens["reader"], "next": ""},
            Authorization=f"Bearer {console.tokens['admin']}",
        )

        assert "reader (reader)" in read_text(visitor.get("/console/"))

    @pytest.mark.parametrize("token", ["", " ", "x" * 8193, "é"])
    def test_no_token(self, visitor, token):
        """
        Who shows what cannot be a token is told where tokens come from.
        """
        got = visitor.log_in(token)

        assert 401 == got.status
        assert "no token: expected one that" in read_text(got)

    @pytest.mark.parametrize("token", ["x", "agent"])
    def test_again(self, console, visitor, token):
        """
        Who is not let in is asked again, and gets to the page that was wanted
        after all.
        """
        wanted = "/console/numbers?before=19&after=20"
        text = console.tokens.get(token, token)
        fields = {"token": text, "next": wanted}
        got = visitor.post("/console/login", fields)
        hidden = html.escape(wanted)

        assert f'name="next" value="{hidden}"' in got.body.decode()

    def test_blanks(self, console, visitor):
        """
        What is around a token that was pasted does not matter.
        """
        got = visitor.log_in(f" {console.tokens['reader']}\r\n")

        assert 303 == got.status

    @pytest.mark.parametrize(
        "wanted",
        [
            "/console/x\r\nSet-Cookie: a=b",
            "/console/x\n",
            "/console/\\example.org",
            "/console/é",
            "/consolex",
            "/console/login?next=/console/",
            "javascript:/console/",
        ],
    )
    def test_nowhere_else(self, wanted):
        """
        It leads to no text that is not the address of a page.
        """
        assert "/console/" == find_next(wanted)

    def test_query(self):
        """
        What is in the query of the page that was wanted leads nowhere.
        """
        wanted = "/console/what-if?baseline=/../x"

        assert wanted == find_next(wanted)
