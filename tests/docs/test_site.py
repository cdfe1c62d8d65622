"""
The pages of the documentation hang together, and become a site.
"""

import re
import subprocess
import sys

from collections import Counter

import pytest
import yaml

from tests.conftest import PROJECT
from tests.docs.links import (
    ALONGSIDE,
    DOCS,
    explain_link,
    find_links,
    find_pages,
)


#: What has a browser ask another host by itself.
FOREIGN = re.compile(
    r"<(?:script|img|source|iframe)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b[^>]*\brel=\"(?:stylesheet|pre\w+|icon)\"[^>]*href=\"(?:https?:)?//"
    r"|<link\b[^>]*\bhref=\"(?:https?:)?//[^>]*rel=\"(?:stylesheet|pre\w+|icon)"
    r"|@import|url\([\"']?(?:https?:)?//"
)


#: What its tags name would be made by reading them.
TAG = re.compile(r"!!python/\S+")


def leaves(tree):
    """
    Return the pages below a part of the navigation.
    """
    if isinstance(tree, str):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree
    return [leaf for part in parts for leaf in leaves(part)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """
    The folder of a site that was built without a warning.
    """
    folder = tmp_path_factory.mktemp("docs") / "site"
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=PROJECT,
        capture_output=True,
        check=True,
        timeout=120,
    )
    return folder


class TestLinks:
    """Links between pages."""

    def test_they_lead_somewhere(self):
        """Each link has its file, and each anchor its heading."""
        found = (
            explain_link(page, target)
            for page in find_pages()
            for target in find_links(page)
        )
        assert [] == [wrong for wrong in found if wrong]

    def test_the_readme_has_every_page(self):
        """Who reads the README only, finds every page."""
        linked = {
            target.partition("#")[0]
            for target in find_links(PROJECT / "README.md")
        }
        pages = {f"docs/{page.name}" for page in DOCS.glob("*.md")}
        assert set() == pages - linked


class TestNavigation:
    """The site's navigation."""

    def test_every_page_is_in_it_once(self):
        """No page is left out, and none has two places."""
        text = TAG.sub("", (PROJECT / "mkdocs.yml").read_text())
        found = Counter(leaves(yaml.safe_load(text)["nav"]))
        pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]
        assert Counter([*pages, *ALONGSIDE[1:]]) == found


class TestSite:
    """The site that `make docs` makes."""

    def test_nothing_is_loaded_from_elsewhere(self, site):
        """Pages and styles load what is in the site, and nothing else."""
        files = [*site.rglob("*.html"), *site.rglob("*.css")]
        assert files
        assert [] == [
            file.name for file in files if FOREIGN.search(file.read_text())
        ]

    def test_lists_are_whole(self, site):
        """What belongs to an item of a numbered list does not end it."""
        html = (site / "attestation.html").read_text()
        _, _, rest = html.partition('id="what-is-accepted"')
        first = re.search("<ol>.*?</ol>", rest, re.DOTALL)
        assert first is not None
        assert 4 == first[0].count("<li>")

    def test_anchors_are_a_forges(self, site):
        """What an alert links to is there under the same name."""
        html = (site / "operating.html").read_text()
        assert 'id="alert-thimautonomylow"' in html
