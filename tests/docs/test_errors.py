"""
The page of errors has every reason, and no other.
"""

import re

from tests.conftest import PROJECT
from tests.docs.reasons import find_reasons, find_words


TEXT = (PROJECT / "docs" / "errors.md").read_text()
ROW = re.compile(r"^\| (`.*?) \|", re.MULTILINE)
NAME = re.compile("`([a-z0-9]+(?:-[a-z0-9]+)*)`")
#: Of AMD's chain, made of two names.
MADE = {
    f"{role}-{what}"
    for role in ("ark", "ask", "leaf")
    for what in ("expired", "not-yet-valid")
}


def documented():
    """
    Return the reasons of the page.
    """
    return {name for row in ROW.findall(TEXT) for name in NAME.findall(row)}


class TestErrors:
    """docs/errors.md."""

    def test_every_reason(self):
        """Each reason that the source names is on the page."""
        assert set() == find_reasons() - documented()

    def test_no_other(self):
        """What is on the page is somewhere in the source, or made there."""
        words, patterns = find_words()
        unknown = {
            name
            for name in documented() - words - MADE
            if not any(p.fullmatch(name) for p in patterns)
        }
        assert set() == unknown
