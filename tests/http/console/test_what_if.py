"""
The console's what-if.
"""

import re

import pytest

from tests.http.console.decided_world import hold, people, stranger
from tests.http.console.visitor import Visitor, read_text
from tests.platforms import NOW
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


def ask(world, who="reader", **query):
    """
    Ask what would be.
    """
    text = "&".join(f"{key}={value}" for key, value in query.items())
    return world.visit(who).get(f"/console/what-if?{text}")


def offered(got):
    """
    Which names a page offers.
    """
    return set(re.findall(r'<option value="([^"]+)">', got.body.decode()))


class TestAsked:
    def test_form(self, calm):
        """
        Without a question there is a form, with the names that there are.
        """
        got = ask(calm)
        page = got.body.decode()

        assert 200 == got.status
        assert '<option value="acme">' in page
        assert '<option value="18">' in page

    def test_answered(self, calm):
        """
        It tells how many would break, by TEE, who, why, and what mends it.
        """
        text = read_text(ask(calm, tenant="acme", baseline="18"))

        assert "acme under 18 1 would break." in text
        assert "Number 17 → 18" in text
        assert "SGX 1 0 0 1 0" in text
        assert "TDX 0 0 0 0 0" in text
        assert "acme-short SGX UpToDate OutOfDate" in text
        assert "bios-or-microcode" in text

    def test_grouped(self, world, intel):
        """
        Machines that are short of the same are one row, which unfolds.
        """
        hold(world, intel)
        people(world, intel)
        got = ask(world, tenant="shop", baseline="18")
        page, text = got.body.decode(), read_text(got)

        assert 1 == page.count('data-label="Platform"')
        assert "4 machines shop-14, shop-15, shop-16, shop-17 SGX" in text

    def test_drawn(self, calm):
        """
        The chart has the same numbers.
        """
        page = ask(calm, tenant="all", baseline="18").body.decode()

        assert "<title>SGX: would break 2</title>" in page
        assert "<title>SGX: stay acceptable 1</title>" in page

    def test_none(self, calm):
        """
        Where nobody would break that is told.
        """
        text = read_text(ask(calm, tenant="acme", baseline="17"))

        assert "None would break." in text

    def test_unjudged(self, world, intel):
        """
        Machines of which today's number has no document are not taken for such
        as would not break.
        """
        stranger(world, intel)
        text = read_text(ask(world, tenant="acme", baseline="17"))

        assert "None would break of those that can be compared." in text
        assert "That cannot be compared 2" in text
        assert "has no document of number 17 here" in text

    @pytest.mark.parametrize(
        ("tenant", "baseline", "named"),
        [
            ("nobody", "18", "no tenant has the name"),
            ("acme", "nothing", "is not known"),
            ("acme", "99", "comes to no number"),
            ("acme", "%3Cscript%3Ealert(1)%3C/script%3E", "is not known"),
        ],
    )
    def test_unknown(self, calm, tenant, baseline, named):
        """
        What is not there is told beside the form, which stays filled in.
        """
        got = ask(calm, tenant=tenant, baseline=baseline)

        assert 404 == got.status
        assert named in read_text(got)
        assert f'value="{tenant}"' in got.body.decode()
        assert b"<script>alert" not in got.body

    def test_busy(self, world):
        """
        Where platforms are judged for others it says to come again.
        """
        world.api.served.state["service"].judging = 2
        got = ask(world, tenant="acme", baseline="18")

        assert 503 == got.status
        assert "ask again later" in read_text(got)


class TestTenants:
    def test_own(self, calm):
        """
        A tenant's own token asks about its own platforms, without saying so.
        """
        text = read_text(ask(calm, "acme/reader", baseline="18"))

        assert "acme under 18 1 would break." in text
        assert "acme-short" in text
        assert "lab" not in text

    def test_other(self, calm):
        """
        It does not ask about another's.
        """
        got = ask(calm, "acme/reader", tenant="lab", baseline="18")

        assert (403, "tenant") == (got.status, got["thim-reason"])

    def test_names(self, world, intel):
        """
        It is told of its own baseline and of those that are there for all, and
        not how others call theirs.
        """
        hold(world, intel)
        text, kept = make_token(
            "own", Role.READER, actor="root", now=NOW, tenant="shop"
        )
        with Ledger(world.api.store, intel.anchors) as ledger:
            ledger.tokens.add(kept)
        visitor = Visitor(world.api.served)
        visitor.log_in(text)
        everybody, acme, shop = map(
            offered,
            (
                ask(world),
                ask(world, "acme/reader"),
                visitor.get("/console/what-if"),
            ),
        )

        assert {"prod", "early"} <= everybody & shop
        assert {"early", "18"} <= acme
        assert "prod" not in acme

    def test_nameless(self, world):
        """
        One without labels is told how many, and not which: they are others'.
        """
        body = {"reason": "x", "labels": {}}
        assert 200 == world.api.put("/tenants/acme", body, if_match="1").status
        text = read_text(ask(world, "acme/reader", baseline="18"))

        assert "2 would break." in text
        assert "Which ones is not told" in text
        assert "acme-short" not in text
