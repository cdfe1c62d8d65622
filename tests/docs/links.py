"""
The pages of the documentation, their links, and where these lead.
"""

import re

from pathlib import Path

from tests.conftest import PROJECT


DOCS = PROJECT / "docs"
#: Those that stay in the project's own folder.
ALONGSIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_FENCE = re.compile(
    r"^( *)(`{3,})[^`\n]*\n.*?^\1\2 *$", re.DOTALL | re.MULTILINE
)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_ELSEWHERE = re.compile("[a-z]+:")


def find_pages() -> list[Path]:
    """
    Return all pages.
    """
    return [*map(PROJECT.joinpath, ALONGSIDE), *sorted(DOCS.rglob("*.md"))]


def without_blocks(page: Path) -> str:
    """
    Return the text of *page* without its blocks of code.
    """
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def find_links(page: Path) -> list[str]:
    """
    Return where the links of *page* lead to, but for other sites.
    """
    text = _CODE.sub("", without_blocks(page))
    found = _LINK.findall(text)
    return [target for target in found if not _ELSEWHERE.match(target)]


def find_anchors(page: Path) -> set[str]:
    """
    Return the anchors that a forge, and the site, give the headings of *page*.
    """
    found = set()
    for heading in _HEADING.findall(without_blocks(page)):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        kept = re.sub(r"[^\w\- ]", "", text.lower())
        found.add(kept.strip().replace(" ", "-"))
    return found


def explain_link(page: Path, target: str) -> str | None:
    """
    Return what is wrong with a link of *page* to *target*, if anything is.
    """
    path, _, anchor = target.partition("#")
    place = (page.parent / path).resolve() if path else page
    if not place.exists():
        return f"{page.relative_to(PROJECT)}: {target}: there is no such file"
    if anchor and anchor not in find_anchors(place):
        return f"{page.relative_to(PROJECT)}: {target}: no such heading"
    return None
