"""
The console's pages of plans, and the forms by which they are made.
"""

import html
import json
import re

import pytest

from tests.http.console.decided_world import AMD, DAY, hold, stranger
from tests.http.console.visitor import read_text
from tests.platforms import NOW
from tests.tenants import Decisions
from thim.baseline.rollout import Body
from thim.store.ledger import Ledger


WHY = {"reason": "the new advisories"}
FORCED = {"break_more_than_allowed": "yes"}
#: What the form of a plan says that it was shown of.
PLANNED = {"state": "planned"}
CANARY = {"state": "canary"}
NEW, FORM = "/console/plans/new", "/console/plans/new/"
MOVE = {**WHY, "tenants": "acme", "baseline": "18"}
PROD = {**WHY, "baseline": "prod", "rule": "number: 18"}


def plan(admin, kind="move", **fields):
    """
    Make a plan with a form; return its page.
    """
    usual = MOVE if kind == "move" else PROD
    got = admin.send(NEW, FORM + kind, {**usual, **fields})
    assert 303 == got.status, read_text(got)
    return got["location"]


@pytest.fixture
def held(world, intel):
    """
    A baseline ``prod`` of two tenants: one has two machines, of which one would
    break under 18, the other has one, which would.
    """
    hold(world, intel, bank="lab", shop="acme")
    return world


class TestMade:
    def test_move(self, world):
        """
        A plan that a tenant goes over to another baseline leads to its page:
        what it would break, why, and what mends it.
        """
        admin = world.visit("admin")
        page = plan(admin)
        text = read_text(admin.get(page))

        assert "/console/plans/1" == page
        assert "acme to baseline 18 planned" in text
        assert "1 of 2 platforms would break." in text
        assert "acme 17 18 what differs 2 1 0 1 (50.0%) more than allowed" in (
            text
        )
        assert "acme-short acme SGX UpToDate OutOfDate" in text
        assert "bios-or-microcode INTEL-SA-00002" in text

    def test_order(self, world):
        """
        Who would break stands before the button that does it.
        """
        admin = world.visit("admin")
        page = admin.get(plan(admin)).body.decode()

        assert page.index("acme-short") < page.index("Apply to all")

    def test_definition(self, held):
        """
        A plan that a baseline becomes something else shows before and after.
        """
        admin = held.visit("admin")
        page = plan(admin, "definition", floor="17", hold="", amd="")
        text = read_text(admin.get(page))

        assert "baseline prod becomes version 2 planned" in text
        assert "2 of 3 platforms would break." in text
        assert (
            "everybody standard, held until-approved, minimums for Milan "
            "number: 18, never below 17 last"
        ) in text

    def test_prefilled(self, held):
        """
        The form holds what the baseline is now, so that what is left alone
        stays.
        """
        got = held.visit("admin").get(f"{NEW}?baseline=prod&tenants=acme")
        page = got.body.decode()
        (amd,) = re.findall(r'name="amd"[^>]*>([^<]*)<', page)

        assert 'name="rule" type="text" value="standard"' in page
        assert 'name="hold" type="text" value="until-approved"' in page
        assert AMD == json.loads(html.unescape(amd))
        assert ">acme</textarea>" in page

    def test_plain(self, world, intel):
        """
        What a baseline has not is an empty field.
        """
        Decisions().baseline("plain", "standard").write(
            world.api.store, intel.anchors
        )
        page = world.visit("admin").get(f"{NEW}?baseline=plain").body.decode()
        (amd,) = re.findall(r'name="amd"[^>]*>([^<]*)<', page)

        assert "" == amd
        assert 'name="floor" type="text" value=""' in page
        assert 'name="hold" type="text" value=""' in page

    def test_offered(self, calm):
        """
        The form offers the baselines, numbers and tenants that there are.
        """
        page = calm.visit("admin").get(NEW).body.decode()

        assert {"standard", "early", "18"} <= set(
            re.findall(r'<option value="([^"]+)"', page)
        )
        assert "acme" in read_text(calm.visit("admin").get(NEW))

    def test_other_form(self, calm):
        """
        Where one form is refused the other is as it was.
        """
        fields = {**PROD, "rule": "whatever", "floor": "17"}
        got = calm.visit("admin").send(NEW, f"{FORM}definition", fields)
        page = got.body.decode()

        assert 1 == page.count('value="whatever"')
        assert 1 == page.count('value="prod"')

    def test_nothing_in_force(self, world):
        """
        What is planned is not in force, and stands in the list.
        """
        admin = world.visit("admin")
        plan(admin)
        text = read_text(admin.get("/console/plans"))

        assert "1 acme to baseline 18 planned" in text
        assert "Stands at number 17" in read_text(
            admin.get("/console/tenants/acme")
        )

    def test_dated(self, world):
        """
        A plan may have a date.
        """
        admin = world.visit("admin")
        later = f"{NOW + 9 * DAY:%FT%TZ}"
        page = plan(admin, effective=later)

        assert "In force from 2026-09-10 12:00 UTC" in read_text(
            admin.get(page)
        )

    @pytest.mark.parametrize(
        ("kind", "fields", "status", "named"),
        [
            ("move", {"tenants": " "}, 400, "tenants: got ''"),
            ("move", {"tenants": "nobody"}, 404, "no tenant has the name"),
            ("move", {"baseline": ""}, 400, "baseline: got ''"),
            ("move", {"baseline": "17"}, 400, "baseline: got '17'"),
            ("move", {"baseline": "none"}, 404, "'none' is not known"),
            ("move", {"canaries": "lab"}, 400, "canary: got 'lab'"),
            ("move", {"effective": "soon"}, 400, "effective: got 'soon'"),
            ("move", {"effective": "2020-01-01"}, 400, "effective: got"),
            ("move", {"reason": ""}, 400, "reason: got ''"),
            ("definition", {"rule": "whatever"}, 400, "rule: got 'whatever'"),
            ("definition", {"rule": ""}, 400, "rule: got ''"),
            ("definition", {"floor": "-1"}, 400, "floor: got '-1'"),
            ("definition", {"floor": "9" * 40}, 400, "floor: got"),
            ("definition", {"hold": "1w"}, 400, "hold: got '1w'"),
            ("definition", {"amd": "{"}, 400, "amd: got '{'"),
            pytest.param(
                "definition",
                {"amd": f"{{{' ' * 2**18}}}"},
                400,
                "amd: got '{ ",
                id="definition-large",
            ),
            ("definition", {"amd": '{"Rome": {}}'}, 400, "amd: got 'Rome'"),
            ("definition", {"amd": "[]"}, 400, "what is planned: Expected"),
            ("definition", {"baseline": "standard"}, 400, "name: got"),
        ],
    )
    def test_refused(self, calm, kind, fields, status, named):
        """
        What cannot be is named, nothing is written, and the form is there
        again as it was filled in.
        """
        admin, before = calm.visit("admin"), calm.api.counts()
        usual = MOVE if kind == "move" else PROD
        got = admin.send(NEW, FORM + kind, {**usual, "canaries": "", **fields})

        assert status == got.status
        assert named in read_text(got)
        assert before == calm.api.counts()
        filled = {**usual, **fields}["baseline"]
        assert f'name="baseline" type="text" value="{filled}"' in (
            got.body.decode()
        )

    def test_hostile(self, calm):
        """
        What was filled in is shown again, and nothing else is made of it.
        """
        hostile = '"><script>alert(1)</script></textarea>'
        admin = calm.visit("admin")
        fields = {"rule": hostile, "amd": hostile, "baseline": "x"}
        got = admin.send(NEW, f"{FORM}definition", {**WHY, **fields})

        assert 400 == got.status
        assert b"<script>alert" not in got.body

    def test_reader(self, calm):
        """
        The form is for admins.
        """
        reader = calm.visit("reader")

        assert 403 == reader.get(NEW).status
        assert "Plan a change" not in read_text(reader.get("/console/plans"))


class TestStages:
    def test_canary(self, held):
        """
        It is applied to the canaries first, then to the others, and taken
        back; each page says what is to be done next.
        """
        admin = held.visit("admin")
        page = plan(admin, "definition", canaries="bank")
        first = read_text(admin.get(page))
        admin.send(NEW, f"{page}/apply", {**WHY, **FORCED, **PLANNED})
        second = read_text(admin.get(page))
        admin.send(NEW, f"{page}/apply", {**WHY, **FORCED, **CANARY})
        third = read_text(admin.get(page))
        admin.send(NEW, f"{page}/rollback", WHY)
        last = read_text(admin.get(page))

        assert "Apply to the canaries" in first
        assert "bank canary 17 18" in first
        assert "becomes version 2 canary" in second
        assert "Apply to the others" in second
        assert "for 1 of 1 tenants" in second
        assert "becomes version 2 applied" in third
        assert ("Roll back" in third, "Roll back" in last) == (True, False)
        assert "becomes version 2 rolled-back" in last

    @pytest.mark.parametrize("state", [{"state": "planned"}, {}])
    def test_sent_twice(self, held, state):
        """
        A form that is sent twice carries out the stage that was on its page,
        and not the one after it.
        """
        admin = held.visit("admin")
        page = plan(admin, "definition", canaries="bank")
        form = {**WHY, **FORCED, **PLANNED}
        admin.send(NEW, f"{page}/apply", form)
        got = admin.send(NEW, f"{page}/apply", {**WHY, **FORCED, **state})

        assert (409, "changed-meanwhile") == (got.status, got["thim-reason"])
        assert 'name="state" value="canary"' in admin.get(page).body.decode()

    def test_breaks_too_many(self, world):
        """
        What breaks more than it may is refused, unless that is wanted.
        """
        admin = world.visit("admin")
        page = plan(admin)
        form = {**WHY, **PLANNED}
        got = admin.send(NEW, f"{page}/apply", form)
        forced = admin.send(NEW, f"{page}/apply", {**form, **FORCED})

        assert (403, "breaks-too-many") == (got.status, got["thim-reason"])
        assert "tenant acme: 1 of 2 platforms" in read_text(got)
        assert f'<a href="{page}">Back</a>' in got.body.decode()
        assert (303, page) == (forced.status, forced["location"])
        history = read_text(admin.get("/console/tenants/acme"))
        assert "the new advisories (forced) ( plan 1 )" in history

    def test_misfit(self, world):
        """
        A plan that does not fit any more says who has decided what, and has no
        button.
        """
        admin = world.visit("admin")
        page = plan(admin)
        change = {**WHY, "labels": {"of": "acme"}, "overrides": "allowed"}
        assert (
            200 == world.api.put("/tenants/acme", change, if_match="1").status
        )
        text = read_text(admin.get(page))

        assert "plan 1 does not fit any more: token" in text
        assert "Apply" not in text

    def test_unjudged(self, world, intel):
        """
        Machines that cannot be judged do not count as such as would not break.
        """
        stranger(world, intel)
        same = Decisions().baseline("same", "number: 17")
        same.write(world.api.store, intel.anchors)
        admin = world.visit("admin")
        text = read_text(admin.get(plan(admin, baseline="same")))

        assert "None would break of the 2 that can be judged; 2 cannot." in text

    def test_busy(self, world):
        """
        Where platforms are judged for others the page is there without, and
        says so.
        """
        admin = world.visit("admin")
        page = plan(admin)
        world.api.served.state["service"].judging = 2
        got = admin.get(page)

        assert 200 == got.status
        assert "are being judged for others: ask again later" in read_text(got)

    @pytest.mark.parametrize("plan", ["7", "x", "9" * 30])
    def test_unknown(self, calm, plan):
        """
        A plan that nobody made is not there.
        """
        got = calm.visit("reader").get(f"/console/plans/{plan}")

        assert (404, "unknown-plan") == (got.status, got["thim-reason"])

    def test_reader(self, world):
        """
        Who may only look sees what it would do, and no button.
        """
        page = plan(world.visit("admin"))
        text = read_text(world.visit("reader").get(page))

        assert "1 of 2 platforms would break." in text
        assert "Apply" not in text


class TestList:
    def test_empty(self, calm):
        """
        Without any the page says how one is made.
        """
        text = read_text(calm.visit("reader").get("/console/plans"))

        assert "thim baseline plan NAME --rule" in text

    def test_pages(self, intel, world):
        """
        Many are on pages, the newest first.
        """
        body = Body(what="nothing", steps=(), seen=())
        with Ledger(world.api.store, intel.anchors) as ledger:
            for _ in range(51):
                ledger.plans.add(body, author="a", reason="r", now=NOW)
        reader = world.visit("reader")
        first = reader.get("/console/plans").body.decode()
        second = reader.get("/console/plans?page=1").body.decode()

        assert 'href="/console/plans/51"' in first
        assert 'href="/console/plans/1"' not in first
        assert 'href="/console/plans/1"' in second
