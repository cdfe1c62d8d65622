"""
Every page of the console in the world of ``make demo``, clicked through in a
real browser at either width.
"""

import pytest

from tests.http.console.browser import WIDTHS, looking
from tests.needs import needs_chromium
from thim.http.console.guard import PAGES


#: What there is to click on a page that leads to one thing of many.
DETAILS = {
    "/collateral": "main tbody a[href*='/document']",
    "/numbers": "main button:has-text('Side by side')",
    "/baselines": "main tbody a[href*='/baselines/']",
    "/plans": "main tbody a[href*='/plans/']",
    "/tenants": "main tbody a[href*='/tenants/']",
    "/platforms": "main tbody a[href*='/platforms/']",
    "/chips": "main tbody a[href*='/chips/']",
    "/decisions": "main tbody a[href*='/decisions/']",
    "/quarantine": "main tbody a[href*='/quarantine/']",
}


@needs_chromium
@pytest.mark.xdist_group("demo of the console")
class TestPages:
    @pytest.mark.parametrize("width", WIDTHS)
    def test_all(self, demo, browser, width):
        """
        Each page, and one of the things that it lists, is reached by clicking,
        is as wide as its window, and neither the browser nor axe-core has
        anything to complain of.
        """
        found = {}
        with looking(browser, demo.service.url, width) as look:
            look.log_in(demo.demo.admin_token)
            for path, name in PAGES:
                look.page.click(f"header nav a:text-is('{name}')")
                look.keep(f"demo{path.replace('/', '-')}")
                found[path] = look.complaints()
                if path in DETAILS:
                    look.page.locator(DETAILS[path]).first.click()
                    look.page.wait_for_load_state()
                    look.keep(f"demo{path.replace('/', '-')}-one")
                    found[f"{path} one"] = look.complaints()

        expected = {path for path, _ in PAGES}
        assert expected | {f"{path} one" for path in DETAILS} == found.keys()
        assert {} == {path: each for path, each in found.items() if each}
