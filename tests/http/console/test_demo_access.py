"""
Every page of the console in the world of ``make demo``, for those who have no
mouse, no scripts, other colours, larger letters, or paper.
"""

import contextlib
import itertools

import pytest

from tests.http.console.browser import looking
from tests.needs import needs_chromium
from thim.http.console.guard import PAGES


#: Beside the pages that the head leads to, those with most on them.
PATHS = [
    *(f"/console{path}" for path, _ in PAGES),
    "/console/plans/new",
    "/console/plans/4",
    "/console/tenants/root",
    "/console/baselines/prod",
    "/console/what-if?tenant=root&baseline=early",
    "/console/numbers?before=19&after=22",
    "/console/collateral/document?name=intel/identity/qe/2&number=22",
]
#: What can be reached: as many as there are, if nothing is left out.
_REACHABLE = """() => [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary, ' +
    '[tabindex="0"]')].filter(each => each.checkVisibility()).length"""
#: Of what has the focus: what it is, where it is, and whether that is seen.
_FOCUS = """() => {
    const each = document.activeElement, style = getComputedStyle(each);
    const box = each.getBoundingClientRect();
    return {
        tag: each.tagName,
        text: each.textContent.trim(),
        head: each.closest('header, .skip') !== null,
        top: box.top + scrollY,
        seen: style.outlineStyle !== 'none' && box.width * box.height > 0 &&
            box.left >= 0 && box.right <= innerWidth + 1,
    };
}"""
_WIDE = "document.documentElement.scrollWidth"
#: A row of a table may be as high as this, and the next control be above.
_ROW = 60


@contextlib.contextmanager
def visiting(demo, browser, width, **liked):
    """
    Open a window in which an admin has logged in.
    """
    with looking(browser, demo.service.url, width, **liked) as look:
        look.log_in(demo.demo.admin_token)
        yield look


def walk(page):
    """
    Press the tabulator until the page is through; return where that led.
    """
    found = []
    for _ in range(page.evaluate(_REACHABLE)):
        page.keyboard.press("Tab")
        found.append(page.evaluate(_FOCUS))
    return found


def judge(stops):
    """
    Return what is wrong with the way that the tabulator takes.
    """
    body = [each for each in stops if not each["head"]]
    pairs = itertools.pairwise(body)
    return {
        "first": stops[0]["text"],
        "trapped": [each for each in stops if each["tag"] == "BODY"],
        "unseen": [each for each in stops if not each["seen"]],
        "back": [b for a, b in pairs if b["top"] < a["top"] - _ROW],
    }


WELL = {
    "first": "Skip to the content",
    "trapped": [],
    "unseen": [],
    "back": [],
}


@needs_chromium
@pytest.mark.xdist_group("demo of the console")
class TestKeyboard:
    @pytest.mark.parametrize("width", [1280, 400])
    def test_walk(self, demo, browser, width):
        """
        The tabulator reaches all that there is to press, from the top to the
        bottom, and one sees where it is.
        """
        with visiting(demo, browser, width) as look:
            found = {path: judge(walk(look.open(path))) for path in PATHS}

        assert dict.fromkeys(PATHS, WELL) == found

    def test_skip(self, demo, browser):
        """
        Whoever skips the head goes on with what the page is about.
        """
        with visiting(demo, browser, 1280) as look:
            page = look.open("/console/tenants")
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            page.keyboard.press("Tab")
            focused = page.evaluate("document.activeElement.id")

        assert "text" == focused


@needs_chromium
@pytest.mark.xdist_group("demo of the console")
class TestColours:
    @pytest.mark.parametrize(
        ("width", "liked"), [(1280, "dark"), (400, "light")]
    )
    def test_other(self, demo, browser, width, liked):
        """
        In the colours in which no other test looks at that width nothing is
        to be complained of either.
        """
        found = {}
        with visiting(demo, browser, width, color_scheme=liked) as look:
            for path in PATHS:
                look.open(path)
                found[path] = look.complaints()

        assert {} == {path: each for path, each in found.items() if each}


@needs_chromium
@pytest.mark.xdist_group("demo of the console")
class TestLetters:
    @pytest.mark.parametrize(
        ("width", "size"), [(400, 32), (1280, 32), (320, 16)]
    )
    def test_large(self, demo, browser, width, size):
        """
        Letters of twice the size, and the narrowest of windows, make no page
        wider than its window.
        """
        with visiting(demo, browser, width) as look:
            protocol = look.page.context.new_cdp_session(look.page)
            sizes = {"standard": size, "fixed": size}
            protocol.send("Page.enable")
            protocol.send("Page.setFontSizes", {"fontSizes": sizes})
            found = {p: look.open(p).evaluate(_WIDE) for p in PATHS}
            used = look.page.evaluate(
                "getComputedStyle(document.body).fontSize"
            )

        assert f"{size}px" == used
        assert {} == {p: wide for p, wide in found.items() if wide > width}


@needs_chromium
@pytest.mark.xdist_group("demo of the console")
class TestMotion:
    def test_still(self, demo, browser):
        """
        Nothing moves, whether the reader likes that or not.
        """
        with visiting(demo, browser, 1280) as look:
            found = [
                look.open(path).evaluate("document.getAnimations().length")
                for path in PATHS
            ]

        assert {0} == set(found)


@needs_chromium
@pytest.mark.xdist_group("demo of the console")
class TestPaper:
    def test_printed(self, demo, browser):
        """
        On paper there is nothing to press or folded, and dark letters on
        white.
        """
        with visiting(demo, browser, 1280, color_scheme="dark") as look:
            page = look.open("/console/plans/4")
            page.emulate_media(media="print", color_scheme="dark")
            look.keep("demo-plan-printed")
            pressed = page.locator("form:visible, nav:visible").count()
            colours = page.evaluate(
                "[getComputedStyle(document.body).color, "
                "getComputedStyle(document.body).backgroundColor]"
            )

            unfolded = page.inner_text("details >> nth=0")

        assert 0 == pressed
        assert "sapphire-health-001" in unfolded
        assert ["rgb(0, 0, 0)", "rgb(255, 255, 255)"] == colours


@needs_chromium
@pytest.mark.xdist_group("demo of the console")
class TestWithoutScripts:
    def test_read(self, demo, browser):
        """
        Each page is there, and its filter answers.
        """
        with visiting(demo, browser, 400, java_script_enabled=False) as look:
            statuses = {
                path: look.page.goto(f"{look.base}{path}").status
                for path in PATHS
            }
            look.open("/console/tenants")
            look.page.fill("#text", "bank")
            look.page.click("main form button")
            names = look.page.inner_text("main tbody")

        assert dict.fromkeys(PATHS, 200) == statuses
        assert "bank" in names
        assert "health" not in names.replace("customer=health", "")
