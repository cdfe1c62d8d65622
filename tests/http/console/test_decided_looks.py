"""
What the pages of baselines, plans, what-ifs and tenants look like, and that a
person gets through them with a browser.
"""

import pytest

from tests.http.console.browser import NARROW, looking
from tests.http.console.decided_world import (
    deciding_console,
    hold,
    people,
    remember,
)
from tests.needs import needs_chromium


FORCED = {"break_more_than_allowed": "yes"}


@pytest.fixture(scope="module")
def world(intel, tmp_path_factory):
    """
    A service with a past, a held baseline, and two customers with machines.
    """
    folder = tmp_path_factory.mktemp("looked-at")
    with deciding_console(intel, folder) as running:
        remember(running, intel)
        hold(running, intel)
        people(running, intel)
        yield running


def tab_to(page, selector):
    """
    Press the tabulator until what is selected has the focus.
    """
    wanted = page.locator(selector)
    for _ in range(60):
        page.keyboard.press("Tab")
        if wanted.evaluate("each => each === document.activeElement"):
            return
    pytest.fail(f"{selector} is not reached")


def press(page, selector):
    """
    Press the button that is selected, which leads to another page.
    """
    tab_to(page, selector)
    with page.expect_navigation():
        page.keyboard.press("Enter")


@needs_chromium
@pytest.mark.xdist_group("decisions of the console")
class TestLooks:
    @pytest.mark.parametrize("width", NARROW)
    def test_read(self, world, browser, width):
        """
        A reader sees each page without a complaint.
        """
        found = {}
        with looking(browser, world.api.served.url, width) as look:
            look.log_in(world.api.tokens["reader"])
            for name, path in (
                ("baselines", "/console/baselines"),
                ("baseline", "/console/baselines/prod"),
                ("what-if", "/console/what-if?tenant=shop&baseline=18"),
                ("tenants", "/console/tenants"),
                ("tenant", "/console/tenants/shop"),
            ):
                look.open(path)
                look.keep(name)
                found[name] = look.complaints()

        assert {name: [] for name in found} == found

    @pytest.mark.parametrize("width", NARROW)
    def test_plan(self, world, browser, width):
        """
        An admin plans a change, sees what it breaks, applies it to the
        canaries and takes it back.
        """
        found: dict[str, object] = {}
        with looking(browser, world.api.served.url, width) as look:
            look.log_in(world.api.tokens["admin"])
            page = look.open("/console/baselines/prod")
            page.click("text=Plan that it becomes something else")
            look.keep("plan-new")
            found["form"] = look.complaints()
            page.fill("#d-rule", "number: 18")
            page.fill("#d-hold", "")
            page.fill("#d-canaries", "bank")
            page.fill("#d-reason", "the new advisories")
            page.click("section[aria-labelledby=definition] button")
            look.keep("plan")
            found["plan"] = look.complaints()
            page.click("text=Apply to the canaries >> nth=-1")
            found["state"] = page.inner_text(".lead .badge")
            look.keep("plan-canary")
            page.fill("#rollback-reason", "they complained")
            page.click("button.danger")
            found["end"] = page.inner_text(".lead .badge")
            page.goto(f"{look.base}/console/plans")
            look.keep("plans")
            found["list"] = look.complaints()

        assert {
            "form": [],
            "plan": [],
            "state": "canary",
            "end": "rolled-back",
            "list": [],
        } == found

    def test_ask(self, world, browser):
        """
        A person asks what would be, with the keyboard alone, and goes from the
        answer to a plan.
        """
        with looking(browser, world.api.served.url, 1280) as look:
            look.log_in(world.api.tokens["admin"])
            page = look.open("/console/what-if")
            page.fill("#tenant", "shop")
            page.focus("#baseline")
            page.keyboard.type("18")
            page.keyboard.press("Enter")
            page.wait_for_selector("text=would break.")
            page.click("text=Plan that shop goes over to 18")
            filled = (
                page.input_value("#m-tenants"),
                page.input_value("#m-baseline"),
            )
            troubles = look.troubles

        assert (("shop", "18"), []) == (filled, troubles)

    def test_plan_by_keyboard(self, world, browser):
        """
        An admin makes a plan, applies it and takes it back without a mouse.
        """
        found = []
        with looking(browser, world.api.served.url, 1280) as look:
            look.log_in(world.api.tokens["admin"])
            page = look.open("/console/plans/new?baseline=18&tenants=bank#move")
            tab_to(page, "#m-reason")
            page.keyboard.type("a drill")
            press(page, "section[aria-labelledby=move] button")
            tab_to(page, "#apply-forced")
            page.keyboard.press("Space")
            press(page, "form[action$=apply] button")
            found.append(page.inner_text(".lead .badge"))
            tab_to(page, "#rollback-reason")
            page.keyboard.type("enough")
            press(page, "button.danger")
            found.append(page.inner_text(".lead .badge"))

        assert ["applied", "rolled-back"] == found

    def test_plan_without_scripts(self, world, browser):
        """
        The same is done in a browser that runs no script.
        """
        found = []
        with looking(
            browser, world.api.served.url, 400, java_script_enabled=False
        ) as look:
            look.log_in(world.api.tokens["admin"])
            page = look.open("/console/what-if?tenant=bank&baseline=18")
            page.click("text=Plan that bank goes over to 18")
            page.fill("#m-reason", "a drill")
            page.click("section[aria-labelledby=move] button")
            page.check("#apply-forced")
            page.click("form[action$=apply] button")
            found.append(page.inner_text(".lead .badge"))
            page.fill("#rollback-reason", "enough")
            page.click("button.danger")
            found.append(page.inner_text(".lead .badge"))

        assert ["applied", "rolled-back"] == found

    def test_tenant(self, world, browser):
        """
        An admin makes a tenant and changes it.
        """
        with looking(browser, world.api.served.url, 400) as look:
            look.log_in(world.api.tokens["admin"])
            page = look.open("/console/tenants")
            page.click("text=Create a tenant")
            page.fill("#t-name", "fresh")
            page.fill("#t-baseline", "17")
            page.fill("#t-reason", "a new customer")
            look.keep("tenant-create")
            page.click("text=Create >> nth=-1")
            page.fill("#t-hosts", "fresh.example")
            page.fill("#t-reason", "they have a name")
            page.click("button:text-is('Change')")
            look.keep("tenant-admin")
            hosts = page.input_value("#t-hosts")
            complaints = look.complaints()

        assert ("fresh.example", []) == (hosts, complaints)

    def test_live(self, intel, browser, tmp_path):
        """
        Where a baseline stands is looked at again by itself.
        """
        page, approval = "/console/baselines/prod", {**FORCED, "reason": "x"}
        with (
            deciding_console(intel, tmp_path) as world,
            looking(browser, world.api.served.url, 1280) as look,
        ):
            hold(world, intel)
            look.log_in(world.api.tokens["reader"])
            look.page.clock.install()
            look.open(page)
            world.visit("admin").send(page, f"{page}/approve", approval)
            look.page.clock.fast_forward("31")
            look.page.wait_for_selector("#live dd:text-is('18')")
            troubles = look.troubles

        assert [] == troubles

    def test_over(self, intel, browser, tmp_path):
        """
        A page that is looked at again when the session is over becomes the
        login.
        """
        with (
            deciding_console(intel, tmp_path) as world,
            looking(browser, world.api.served.url, 1280) as look,
        ):
            look.log_in(world.api.tokens["reader"])
            look.page.clock.install()
            look.open("/console/baselines")
            look.page.context.clear_cookies()
            look.page.clock.fast_forward("31")
            look.page.wait_for_selector("#token")
            address = look.page.url

        assert address.endswith(
            "/console/login?next=%2Fconsole%2Fbaselines%3Fpage%3D0"
        )
