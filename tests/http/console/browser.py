"""
A real browser that looks at pages: what they look like, and what is wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright


#: Where pictures of the pages are kept, for people to look at.
PICTURES: Final = Path(__file__).parents[3] / "build" / "screenshots"
#: Width in pixels, and the colours that its reader likes.
WIDTHS: Final = {1280: "light", 400: "dark"}
#: Where less fits in: all that the worlds of single pages are looked at in,
#: since those of the demo are at either.
NARROW: Final = (400,)
_SERIOUS: Final = frozenset({"moderate", "serious", "critical"})


@dataclasses.dataclass(slots=True)
class Look:
    """
    One reader's window, of a *width*; *troubles* is what the browser has
    complained of.
    """

    page: Page
    base: str
    width: int
    troubles: list[str] = dataclasses.field(default_factory=list)

    def log_in(self, token: str) -> None:
        """
        Log in as a person would.
        """
        self.page.goto(f"{self.base}/console/login")
        self.page.fill("#token", token)
        self.page.click("main button[type=submit]")

    def open(self, path: str) -> Page:
        """
        Load a page.
        """
        self.page.goto(f"{self.base}{path}")
        return self.page

    def keep(self, name: str) -> None:
        """
        Keep a picture of the page.
        """
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}-{self.width}.png"
        self.page.screenshot(path=path, full_page=True)

    def complaints(self) -> list[str]:
        """
        Return what is wrong with the page: what the browser complained of,
        what axe-core finds more than minor, and whether it is wider than its
        window.
        """
        found = Axe().run(self.page).response["violations"]
        serious = [
            f"{each['id']}: {each['nodes'][0]['html'][:200]}"
            for each in found
            if each["impact"] in _SERIOUS
        ]
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        too_wide = [f"{wide} pixels wide"] if wide > self.width else []
        return [*self.troubles, *serious, *too_wide]


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """
    Run the Chromium that is installed, until the end of the ``with``.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            # Its sandbox is not to be had as root.
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def looking(
    browser: Browser, base: str, width: int, **liked: Any
) -> Iterator[Look]:
    """
    Open a window of a *width* on the site at *base*; *liked* is what else its
    reader has set, as Playwright calls it.
    """
    settings = {"color_scheme": WIDTHS.get(width, "light"), **liked}
    context = browser.new_context(
        viewport={"width": width, "height": 900}, **settings
    )
    look = Look(context.new_page(), base, width)

    def note(message: Any) -> None:
        if message.type in {"error", "warning"}:
            look.troubles.append(message.text)

    look.page.on("console", note)
    look.page.on("pageerror", lambda e: look.troubles.append(str(e)))
    yield look
    context.close()
