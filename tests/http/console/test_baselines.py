"""
The console's pages of baselines.
"""

import pytest

from tests.http.console.decided_world import (
    deciding_console,
    hold,
    people,
    remember,
)
from tests.http.console.visitor import read_text
from tests.tenants import Decisions
from thim.http.console.baselines import BASELINES
from thim.http.console.plan_forms import PLAN_FORMS
from thim.http.console.plans import PLANS
from thim.http.console.tenant_forms import TENANT_FORMS
from thim.http.console.tenants import TENANTS
from thim.services.tokens import Permission


WHY = {"reason": "tried on the canaries"}
FORCED = {"break_more_than_allowed": "yes"}


@pytest.fixture(scope="module")
def held(intel, tmp_path_factory):
    """
    A baseline that waits for approval, two tenants, their machines; nothing is
    done there.
    """
    folder = tmp_path_factory.mktemp("held")
    with deciding_console(intel, folder) as running:
        remember(running, intel)
        hold(running, intel)
        people(running, intel)
        yield running


@pytest.fixture
def waiting(world, intel):
    """
    A baseline that waits for approval; half of a tenant's machines would break.
    """
    hold(world, intel, bank="lab", shop="acme")
    return world


class TestList:
    def test_all(self, held):
        """
        Every baseline is listed: rule, number, hold, what it waits for, whose
        it is, minimums.
        """
        text = read_text(held.visit("reader").get("/console/baselines"))

        assert "trailing: 540d" in text
        assert (
            "prod 17 not signed any more standard – until-approved "  # noqa: RUF001
            "waits for approval 18 bank , shop Milan" in text
        )

    def test_trouble(self, calm):
        """
        One that comes to no number says why.
        """
        text = read_text(calm.visit("reader").get("/console/baselines"))

        assert "azure none nothing is known of TCB evaluation data" in text

    def test_pages(self, world, intel):
        """
        Many are on pages.
        """
        decisions = Decisions()
        for n in range(60):
            decisions.baseline(f"b{n:02}", "standard")
        decisions.write(world.api.store, intel.anchors)
        reader = world.visit("reader")
        first = read_text(reader.get("/console/baselines"))
        second = read_text(reader.get("/console/baselines?page=1"))

        assert ("b45" in first, "b46" in first) == (True, False)
        assert ("b45" in second, "b59" in second) == (False, True)

    def test_tenant(self, calm):
        """
        A tenant's own token does not see everybody's.
        """
        got = calm.visit("acme/reader").get("/console/baselines")

        assert (403, "tenant") == (got.status, got["thim-reason"])


class TestOne:
    def test_standing(self, held):
        """
        It is told where it stands and stood, what waits, whose it is, which
        clients have fetched it.
        """
        text = read_text(held.visit("reader").get("/console/baselines/prod"))

        assert "Number 18 waits for approval since 2020-01-01" in text
        assert "number 17 from" in text
        assert "shop 17 10 7 70.0% under 18" in text
        assert "Milan snp 23 AMD-SB-3020" in text

    def test_history(self, held):
        """
        Who has decided what, and why, is told, the newest first.
        """
        text = read_text(held.visit("reader").get("/console/baselines/prod"))

        history = text[text.index("Who decided what") :]
        assert "version 1" in history
        assert history.index("number 18") < history.index("number 17")

    def test_timeline(self, held):
        """
        Each number at which it stood has a lane, and so has what it waits for.
        """
        page = held.visit("reader").get("/console/baselines/prod").body.decode()

        assert ">number 17</text>" in page
        assert ">number 18 (waits)</text>" in page

    def test_forecast(self, held):
        """
        What a floating one will come to is told, and how well that is known.
        """
        page = held.visit("reader").get("/console/baselines/standard")

        assert "Forecast: number 19 , about" in read_text(page)
        assert ">number 19 (forecast)</text>" in page.body.decode()

    def test_number(self, calm):
        """
        A number is a baseline too, which nobody has decided about.
        """
        got = calm.visit("reader").get("/console/baselines/17")

        assert "Nobody has decided anything about it" in read_text(got)
        assert "acme 17 0 0" in read_text(got)

    @pytest.mark.parametrize("name", ["nothing", "%3Cscript%3E", "Prod"])
    def test_unknown(self, calm, name):
        """
        One that nobody has defined is unknown.
        """
        got = calm.visit("reader").get(f"/console/baselines/{name}")

        assert 404 == got.status
        assert b"<script>" not in got.body

    def test_hostile(self, world, intel):
        """
        What people have written about it is shown, and nothing else is made of
        it.
        """
        source = "<script>alert(1)</script>\u202e"
        minimum = {"Milan": {"snp": {"spl": 1, "source": source}}}
        Decisions().baseline("odd", "standard", amd=minimum).write(
            world.api.store, intel.anchors
        )
        got = world.visit("reader").get("/console/baselines/odd")

        assert 200 == got.status
        assert b"<script>alert" not in got.body
        assert "\u202e" not in got.body.decode()
        assert "<script>alert(1)</script>\\u202e" in read_text(got)


class TestChanges:
    def test_reader(self, held):
        """
        Who may only look is offered nothing, and refused what they send.
        """
        page, reader = "/console/baselines/prod", held.visit("reader")
        text = read_text(reader.get(page))

        assert "Approve" not in text
        assert "Roll back" not in text
        assert 403 == reader.post(f"{page}/approve", WHY).status

    def test_admins_alone(self):
        """
        Every form that decides anything is for admins, and for nobody's tenant.
        """
        forms = [
            page
            for pages in (BASELINES, PLANS, PLAN_FORMS, TENANTS, TENANT_FORMS)
            for _, method, page in pages
            if method == "POST"
        ]

        assert 9 == len(forms)
        assert {(Permission.ADMINISTER, False)} == {
            (form.permission, form.for_tenants) for form in forms
        }

    def test_approved(self, waiting):
        """
        What waits is approved, and who did that is in the history.
        """
        admin = waiting.visit("admin")
        page = "/console/baselines/prod"
        got = admin.send(page, f"{page}/approve", {**WHY, **FORCED})
        text = read_text(admin.get(page))

        assert (303, page) == (got.status, got["location"])
        assert "Stands at number 18" in text
        assert "tried on the canaries (forced)" in text

    def test_breaks_too_many(self, waiting):
        """
        What breaks more than it may is refused, unless that is wanted.
        """
        admin, page = waiting.visit("admin"), "/console/baselines/prod"
        got = admin.send(page, f"{page}/approve", WHY)

        assert (403, "breaks-too-many") == (got.status, got["thim-reason"])
        assert "Stands at number 17" in read_text(admin.get(page))

    def test_rolled_back(self, waiting):
        """
        It is put back to the number before, which the button names.
        """
        admin, page = waiting.visit("admin"), "/console/baselines/prod"
        before = read_text(admin.get(page))
        admin.send(page, f"{page}/approve", {**WHY, **FORCED})
        between = read_text(admin.get(page))
        got = admin.send(page, f"{page}/rollback", WHY)

        assert "Roll back" not in before
        assert "Roll back to number 17" in between
        assert 303 == got.status
        assert "Stands at number 17" in read_text(admin.get(page))

    @pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
    def test_reason(self, held, reason):
        """
        Nothing is done without a reason, and the field is named.
        """
        admin, page = held.visit("admin"), "/console/baselines/prod"
        got = admin.send(page, f"{page}/rollback", {"reason": reason})

        assert 400 == got.status
        assert "reason: got" in read_text(got)

    def test_nothing_waits(self, calm):
        """
        Where nothing waits there is nothing to approve.
        """
        admin, page = calm.visit("admin"), "/console/baselines/standard"
        got = admin.send("/console/plans/new", f"{page}/approve", WHY)

        assert (409, "nothing-pending") == (got.status, got["thim-reason"])
