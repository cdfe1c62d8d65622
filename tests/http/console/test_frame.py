"""
Who sees the console, and what every page of it has.
"""

import contextlib
import datetime
import re
import sqlite3

import pytest

from tests.http.administration import administered
from tests.http.console.browser import NARROW, browsing, looking
from tests.http.console.visitor import Visitor, read_text
from tests.needs import needs_chromium
from tests.platforms import NOW
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


class TestLogin:
    def test_asked(self, visitor):
        """
        Whoever has not logged in is asked to, and shown then what they wanted.
        """
        got = visitor.get("/console/?a=1")

        assert (303, "/console/login?next=%2Fconsole%2F%3Fa%3D1") == (
            got.status,
            got["location"],
        )

    def test_part_of_a_page(self, console):
        """
        What htmx asks for in the place of a part of a page leads all of it to
        the login.
        """
        got = console.served.get("/console/", {"HX-Request": "true"})

        assert (200, "/console/login", b"") == (
            got.status,
            got["hx-redirect"],
            got.body,
        )

    def test_entrance(self, visitor):
        """
        Without its last slash the console is found too.
        """
        got = visitor.get("/console")

        assert (303, "/console/") == (got.status, got["location"])

    @pytest.mark.parametrize("role", ["reader", "operator", "admin"])
    def test_in(self, console, visitor, role):
        """
        A token of whoever may read begins a session.
        """
        got = visitor.log_in(console.tokens[role])
        page = visitor.get("/console/")

        assert (303, "/console/") == (got.status, got["location"])
        assert 200 == page.status
        assert f"{role} ({role})" in read_text(page)

    @pytest.mark.parametrize("role", ["registrar", "agent", "enrolment"])
    def test_others(self, console, visitor, role):
        """
        Tokens that are there for machines see nothing.
        """
        got = visitor.log_in(console.tokens[role])

        assert 403 == got.status
        assert f"has the role {role}, expected reader" in read_text(got)
        assert "" == visitor.cookie

    @pytest.mark.parametrize("token", ["", "x", "é", "0" * 12 + "." + "A" * 43])
    def test_wrong(self, visitor, token):
        """
        What is no token that counts is refused, and asked for again.
        """
        got = visitor.log_in(token)

        assert 401 == got.status
        assert "API token" in read_text(got)
        assert "set-cookie" not in got

    def test_guessing(self, console, visitor):
        """
        Whoever is wrong about one token too often is refused for a while.
        """
        wrong = console.tokens["admin"].partition(".")[0] + "." + "A" * 43
        statuses = [visitor.log_in(wrong).status for _ in range(11)]

        assert [401] * 10 + [429] == statuses

    def test_locked(self, console, reader, visitor):
        """
        People log in while nothing can be written, once anybody has before.
        """
        with contextlib.closing(sqlite3.connect(console.store)) as db:
            db.execute("BEGIN IMMEDIATE")
            got = visitor.log_in(console.tokens["admin"])

        assert 303 == got.status
        assert 200 == reader.get("/console/").status

    def test_cookie(self, console, visitor):
        """
        No script and no other site gets at the cookie, which holds no token.
        """
        token = console.tokens["admin"]
        cookie = visitor.log_in(token)["set-cookie"]

        assert "; Path=/console/; HttpOnly; SameSite=Strict" in cookie
        assert token.partition(".")[2] not in cookie

    @pytest.mark.parametrize(
        "wanted",
        [
            "https://example.org/",
            "//example.org/console/",
            "/console/../../x\r\nSet-Cookie: a=b",
            "/console/login",
            "/console/%6cogin",
            "/console/../admin/v1/tenants",
            "/console/.%2e/admin/v1/tenants",
            "/admin/v1/tenants",
        ],
    )
    def test_elsewhere(self, console, visitor, wanted):
        """
        A login leads to pages of the console and nowhere else.
        """
        fields = {"token": console.tokens["admin"], "next": wanted}
        got = visitor.post("/console/login", fields)

        assert (303, "/console/") == (got.status, got["location"])

    def test_page_wanted(self, console, visitor):
        """
        A login leads to the page that was wanted.
        """
        fields = {
            "token": console.tokens["admin"],
            "next": "/console/numbers?before=19&after=20",
        }
        got = visitor.post("/console/login", fields)

        assert "/console/numbers?before=19&after=20" == got["location"]


class TestSession:
    def test_out(self, reader):
        """
        Whoever logs out is asked to log in again.
        """
        got = reader.post("/console/logout", {})

        assert (303, "/console/login") == (got.status, got["location"])
        assert "Max-Age=0" in got["set-cookie"]
        assert 303 == reader.get("/console/").status

    def test_revoked(self, intel, console, reader):
        """
        A session ends at once with the token that it was begun with.
        """
        token_id = console.tokens["reader"].partition(".")[0]
        with Ledger(console.store, intel.anchors) as ledger:
            ledger.tokens.revoke(token_id, actor="root", now=NOW)

        assert 303 == reader.get("/console/").status

    @pytest.mark.parametrize(
        ("hours", "status"), [(11.9, 200), (12, 303), (-24, 200)]
    )
    def test_over(self, intel, tmp_path, hours, status):
        """
        A session ends after twelve hours.
        """
        clock = [NOW]
        with administered(intel, tmp_path, clock=lambda: clock[0]) as running:
            visitor = Visitor(running.served)
            visitor.log_in(running.tokens["reader"])
            clock[0] = NOW + datetime.timedelta(hours=hours)
            got = visitor.get("/console/")

        assert status == got.status

    def test_token_expires(self, intel, tmp_path):
        """
        A session ends with its token, if that ends first.
        """
        clock = [NOW]
        with administered(intel, tmp_path, clock=lambda: clock[0]) as running:
            text, kept = make_token(
                "short",
                Role.READER,
                actor="root",
                now=NOW,
                expires=NOW + datetime.timedelta(minutes=5),
            )
            with Ledger(running.store, intel.anchors) as ledger:
                ledger.tokens.add(kept)
            visitor = Visitor(running.served)
            visitor.log_in(text)
            before = visitor.get("/console/").status
            clock[0] = NOW + datetime.timedelta(minutes=5)
            after = visitor.get("/console/").status

        assert (200, 303) == (before, after)

    def test_tampered(self, reader):
        """
        A cookie in which anything was changed is none.
        """
        name, _, value = reader.cookie.partition("=")
        statuses = set()
        for place in (0, 7, len(value) // 2, len(value) - 6):
            other = "A" if value[place] != "A" else "B"
            changed = value[:place] + other + value[place + 1 :]
            reader.cookie = f"{name}={changed}"
            statuses.add(reader.get("/console/").status)

        assert {303} == statuses

    @pytest.mark.parametrize("value", ["", "x", "é", "=" * 8, "A" * 9000])
    def test_garbage(self, reader, value):
        """
        Whatever else comes as a cookie is none.
        """
        name = reader.cookie.partition("=")[0]
        reader.cookie = f"{name}={value}"

        assert 303 == reader.get("/console/").status

    def test_beside_another(self, reader):
        """
        A cookie of the same name, which somebody else has set, ends no
        session.
        """
        name = reader.cookie.partition("=")[0]
        reader.cookie = f"{name}=other; {reader.cookie}"

        assert 200 == reader.get("/console/").status

    def test_other_service(self, intel, tmp_path, reader):
        """
        Another service of this host's name has a cookie of another name: a
        browser keeps both, and a login there ends no session here.
        """
        (tmp_path / "other").mkdir()
        with administered(intel, tmp_path / "other") as other:
            elsewhere = Visitor(other.served)
            elsewhere.log_in(other.tokens["reader"])
            names = {
                each.cookie.partition("=")[0] for each in (reader, elsewhere)
            }
            kept = f"{reader.cookie}; {elsewhere.cookie}"
            reader.cookie = elsewhere.cookie = kept
            statuses = [
                each.get("/console/").status for each in (reader, elsewhere)
            ]

        assert 2 == len(names)
        assert [200, 200] == statuses

    def test_forgotten(self, reader):
        """
        To log out is to forget the cookie by the name that it has.
        """
        name = reader.cookie.partition("=")[0]
        got = reader.post("/console/logout", {})

        assert got["set-cookie"].startswith(f"{name}=; ")


class TestForms:
    def test_other_site(self, console, visitor):
        """
        A form that another site has sent is refused, the login too.
        """
        fields = {"token": console.tokens["admin"], "next": ""}
        cross = visitor.post(
            "/console/login", fields, Sec_Fetch_Site="cross-site"
        )
        other = visitor.post(
            "/console/login", fields, Origin="http://x.example"
        )

        assert [(403, "cross-site")] * 2 == [
            (got.status, got["thim-reason"]) for got in (cross, other)
        ]
        assert "" == visitor.cookie

    def test_no_form(self, console, visitor):
        """
        A body that is no form is refused.
        """
        got = visitor.post("/console/login", {}, Content_Type="text/plain")

        assert 400 == got.status
        assert "expected application/x-www-form-urlencoded" in read_text(got)

    def test_too_large(self, visitor):
        """
        A form over its limit is refused before it is read; that of people
        whom nobody knows yet has a small one.
        """
        got = visitor.log_in("x" * 40_000)
        out = visitor.post("/console/logout", {"x": "x" * 40_000})

        assert [413, 413] == [got.status, out.status]


class TestEvery:
    def test_headers(self, reader):
        """
        A page lets nothing from elsewhere in, is framed by nobody and kept by
        nobody.
        """
        got = reader.get("/console/")
        policy = got["content-security-policy"]

        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert ("no-store", "nosniff") == (
            got["cache-control"],
            got["x-content-type-options"],
        )

    def test_nothing_inline(self, reader):
        """
        A page needs nothing that its policy forbids.
        """
        text = reader.get("/console/").body.decode()

        assert [] == re.findall(r"<style|<script(?! src)| style=| on\w+=", text)

    def test_assets(self, reader):
        """
        What a page loads may be kept for ever, since its address changes with
        its content.
        """
        page = reader.get("/console/").body.decode()
        paths = re.findall(r'"(/console/static/[^"]+)"', page)
        found = {path.rpartition("/")[2]: reader.get(path) for path in paths}

        assert {"console.css", "htmx.js", "icon.svg"} == found.keys()
        assert {(200, "public, max-age=31536000, immutable")} == {
            (got.status, got["cache-control"]) for got in found.values()
        }

    def test_asset_of_another_release(self, reader):
        """
        Another release's address of a file leads to nothing, rather than to
        what would be kept under it for ever.
        """
        got = reader.get(f"/console/static/{'0' * 16}/console.css")

        assert 404 == got.status

    def test_nowhere(self, reader):
        """
        A page that there is not is told as a page.
        """
        got = reader.get("/console/nowhere")

        assert 404 == got.status
        assert "there is no page '/console/nowhere'" in read_text(got)

    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", 303),
            ("*/*", 404),
            ("application/json", 404),
            (None, 404),
        ],
    )
    def test_root(self, console, accept, expected):
        """
        Who gives a browser the host's name alone is led to the console; a
        program is not.
        """
        headers = {} if accept is None else {"Accept": accept}

        assert expected == console.served.get("/", headers).status

    def test_hostile_name(self, intel, console, visitor):
        """
        What a token is called is shown, and nothing else is made of it.
        """
        name = '"><script>alert(1)</script>'
        text, kept = make_token(name, Role.READER, actor="root", now=NOW)
        with Ledger(console.store, intel.anchors) as ledger:
            ledger.tokens.add(kept)
        visitor.log_in(text)
        got = visitor.get("/console/")

        assert 200 == got.status
        assert b"<script>alert" not in got.body
        assert name in read_text(got)


@needs_chromium
class TestBrowser:
    def test_log_in(self, console):
        """
        In a browser a person logs in, sees the first page at either width
        without a complaint, and logs out.
        """
        found: dict[tuple[int, str], object] = {}
        with browsing() as browser:
            for width in NARROW:
                with looking(browser, console.served.url, width) as look:
                    look.open("/console/")
                    found[width, "login"] = look.complaints()
                    look.log_in(console.tokens["reader"])
                    look.keep("overview-empty")
                    found[width, "overview"] = look.complaints()
                    look.page.click("text=Log out")
                    found[width, "out"] = look.page.title()

        assert {
            (width, what): end
            for width in NARROW
            for what, end in (
                ("login", []),
                ("overview", []),
                ("out", "Log in – thim"),  # noqa: RUF001
            )
        } == found
