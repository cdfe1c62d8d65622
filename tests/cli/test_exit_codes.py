"""
``docs/command-line.md``: what every command ends with.
"""

import re

import pytest

from tests.cli.tree import all_commands
from tests.conftest import PROJECT


PAGE = PROJECT / "docs" / "command-line.md"


def rows():
    """
    The table of commands: what 0 means, and what others do.
    """
    table = PAGE.read_text().partition("| command | 0 | others |")[2]
    lines = [line for line in table.split("\n\n")[0].splitlines()[2:] if line]
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines]
    return {name.strip("`"): (well, others) for name, well, others in cells}


def test_complete():
    """
    The page has every command, in the order of `thim --help`, and says what 0
    means.
    """
    assert list(all_commands()) == list(rows())
    assert all(well for well, _ in rows().values())


@pytest.mark.parametrize("name", list(all_commands()))
def test_help(name):
    """
    A command's own help names the codes beside 0 that the page names, but for
    the 2 that all have.
    """
    said = " ".join((all_commands()[name].help or "").split())
    told = said.partition("xit code")[2]

    assert set(re.findall(r"\b([13])\b:? ", told)) == (
        set(re.findall(r"\b([13]): ", rows()[name][1]))
    )
