"""
What a report is made of, and what is left out of it.
"""

import pytest

from tests.platforms import NOW
from thim.client.doctor.model import (
    Found,
    Kind,
    Report,
    Section,
    Target,
    Trouble,
)
from thim.client.findings import Finding, Level


def trouble(level=Level.ERROR, name="refused", **words):
    """
    One finding.
    """
    usual = {"what": "w", "where": "x", "cause": "c", "mend": "m"}
    return Trouble(level=level, name=name, **{**usual, **words})


def report(*troubles, sections=(), targets=()):
    """
    A report of what was found, without the word ``secret``.
    """
    found = Found(troubles=troubles, sections=sections, targets=targets)
    return Report.make(NOW, found, lambda text: text.replace("secret", "…"))


class TestHidden:
    @pytest.mark.parametrize("name", ["what", "where", "cause", "mend"])
    def test_troubles(self, name):
        """
        No text of a finding gets into a report past what hides secrets.
        """
        made = report(trouble(**{name: "a secret"}))

        assert "a …" == getattr(made.troubles[0], name)

    def test_sections(self):
        """
        No title and no fact does, and no name of one.
        """
        section = Section(title="secret 1", facts=(("secret 2", "secret 3"),))
        (made,) = report(sections=(section,)).sections

        assert Section(title="… 1", facts=(("… 2", "… 3"),)) == made

    def test_same(self):
        """
        Findings that differ in what is left out are told once.
        """
        made = report(trouble(what="secret"), trouble(what="…"))

        assert 1 == len(made.troubles)


class TestOrder:
    def test_worst_first(self):
        """
        The worst comes first, and of one level what was looked at first.
        """
        made = report(
            trouble(Level.WARNING, "b"),
            trouble(Level.ERROR, "z"),
            trouble(Level.WARNING, "a"),
            trouble(Level.ERROR, "y"),
        )

        assert ["z", "y", "b", "a"] == [each.name for each in made.troubles]

    @pytest.mark.parametrize(
        ("levels", "expected"),
        [
            ((), Level.NOTE),
            ((Level.WARNING,), Level.WARNING),
            ((Level.WARNING, Level.ERROR), Level.ERROR),
        ],
    )
    def test_level(self, levels, expected):
        """
        A report is as bad as the worst in it.
        """
        assert expected == report(*map(trouble, levels)).level


class TestNothing:
    def test_said(self):
        """
        Where there was nothing to look at a report says nothing, rather than
        that all is well.
        """
        target = Target(url="https://a.example", by="b", kind=Kind.OTHER)

        assert [True, False, False] == [
            report().says_nothing,
            report(trouble()).says_nothing,
            report(targets=(target,)).says_nothing,
        ]


class TestPlace:
    @pytest.mark.parametrize(("line", "where"), [(None, "f"), (3, "f:3")])
    def test_line(self, line, where):
        """
        A finding in a file names the line, if it is of one.
        """
        finding = Finding(
            level=Level.ERROR, name="bad-value", message="what", line=line
        )

        assert where == Trouble.of(finding, "f").where
