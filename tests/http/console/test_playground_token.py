"""
The playground: tokens, whose they are, and how it looks.
"""

import re

import pytest

from tests.http.attested_world import attesting
from tests.http.attesting import claims_in, header_in
from tests.http.console.browser import NARROW, browsing, looking
from tests.http.console.playing import PAGE, TOKEN, log_in, look
from tests.http.console.visitor import read_text
from tests.needs import needs_chromium
from tests.vendors import NOW
from thim.baseline.model import Quota
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


@pytest.fixture(scope="module")
def reader(playground):
    """
    Somebody who may look.
    """
    return log_in(playground)


@pytest.fixture(scope="module")
def admin(playground):
    """
    Somebody who may have tokens issued.
    """
    return log_in(playground, Role.ADMIN)


class TestToken:
    def test_issued(self, playground, admin):
        """
        A token is issued and shown, and it is on record.
        """
        got = look(admin, playground.quote().hex(), TOKEN, tenant="acme")
        token = re.search(r'aria-label="The token">([^<]+)', got.body.decode())
        assert token is not None
        claims = playground.verify(token[1], "/tenant/acme")

        assert "acme" in claims["iss"]
        assert header_in(token[1])["kid"] in read_text(got)
        assert f"/console/decisions/{claims['jti']}" in got.body.decode()
        assert claims["jti"] in {d.jti for d in playground.decisions()}

    def test_same_by_program(self, playground, admin):
        """
        What is said to do the same by a program does so.
        """
        text = read_text(
            look(admin, playground.quote().hex(), TOKEN, tenant="acme")
        )
        path = re.search(r"'https://attest.example(/[^']+)'", text)
        body = re.search(r"request.json : (\{.*?\}) Look at", text)
        assert path is not None
        assert body is not None
        got = playground.ask(
            path[1],
            "POST",
            body[1].encode(),
            **{"Content-Type": "application/json"},
        )

        assert 200 == got.status
        assert "acme" in claims_in(got.json["token"])["iss"]

    def test_refused(self, playground, admin):
        """
        What is refused is told, and on record as refused.
        """
        before = len(playground.decisions(refused=True))
        got = look(admin, playground.quote("ice-2").hex(), TOKEN)
        playground.await_decisions(before + 1, refused=True)

        assert 400 == got.status
        assert "Azure baseline" in read_text(got)

    def test_baseline(self, playground, admin):
        """
        A token is issued by no other baseline than the tenant's.
        """
        quote = playground.quote().hex()
        got = look(admin, quote, TOKEN, tenant="lab", baseline="20")

        assert 400 == got.status
        assert "baseline: got '20', expected none" in read_text(got)

    def test_reader(self, playground, reader):
        """
        Whoever may only look has no button for tokens, and gets none.
        """
        page = reader.get(PAGE)
        got = look(reader, playground.quote().hex(), TOKEN)

        assert b"Issue a token" not in page.body
        assert 403 == got.status


class TestTenants:
    def test_own(self, playground):
        """
        A tenant's token looks at evidence for that tenant alone.
        """
        visitor = log_in(playground, tenant="acme")
        page = read_text(visitor.get(PAGE))
        quote = playground.quote().hex()
        own = look(visitor, quote, tenant="acme")
        other = look(visitor, quote, tenant="lab")

        assert "lab" not in page
        assert (200, 403) == (own.status, other.status)
        assert "by number 18" in read_text(own)

    def test_quota(self, attested_world, tmp_path):
        """
        What is looked at is taken out of the tenant's quota.
        """
        with attesting(attested_world, tmp_path) as running:
            running.change("acme", quota=Quota(requests=1))
            visitor = log_in(running, tenant="acme")
            quote = running.quote().hex()
            found = [
                look(visitor, quote, tenant="acme").status for _ in range(2)
            ]

        assert [200, 503] == found


@needs_chromium
class TestBrowser:
    def test_looks(self, playground):
        """
        In a browser a person looks at evidence and has a token issued, at
        either width and without a complaint.
        """
        text, kept = make_token("person", Role.ADMIN, actor="root", now=NOW)
        with Ledger(playground.store, playground.vendor.anchors) as ledger:
            ledger.tokens.add(kept)
        found = {}
        with browsing() as browser:
            for width in NARROW:
                with looking(browser, playground.served.url, width) as one:
                    one.log_in(text)
                    one.open(PAGE)
                    found[width] = one.complaints()
                    one.page.fill("#evidence", playground.quote("ice-2").hex())
                    one.page.click("text=Look at it")
                    one.keep("playground-behind")
                    found[width] += one.complaints()
                    one.page.fill("#evidence", playground.quote().hex())
                    one.page.click("text=Issue a token")
                    one.keep("playground-token")
                    found[width] += one.complaints()

        assert {width: [] for width in NARROW} == found
