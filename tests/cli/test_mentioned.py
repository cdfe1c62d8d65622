"""
Commands that units and messages name; ``tests/docs`` has the documents.
"""

import re

import pytest

from tests.cli.tree import all_commands
from tests.conftest import PROJECT
from thim.cli.commands import COMMANDS, GROUPS


PAGES = sorted(
    [
        *(PROJECT / "deploy").rglob("*.md"),
        *(PROJECT / "deploy").rglob("*.service"),
    ]
)
#: No command, but what a bundle's signature begins with.
SIGNED = "thim bundle signature 1"
#: A group of a group.
KEY = "bundle key"
#: In a code span, or at the beginning of a line of a shell.
CALL = re.compile(
    r"(?:`|^\$ |^ *|bin/)thim ([a-z][a-z-]+)(?:[ \n]+\"?([a-z][a-z-]+))?",
    re.MULTILINE,
)


def named(text):
    """
    The commands that *text* names, groups with a verb or without.
    """
    for word, verb in CALL.findall(text.replace(f"`{SIGNED}", "")):
        if word in GROUPS:
            yield f"{word} {verb}".strip()
        elif word in COMMANDS:
            yield word


def strange(text):
    """
    What *text* names and is no command.
    """
    known = {*all_commands(), *GROUPS, KEY}
    return set(named(text)) - known


@pytest.mark.parametrize(
    "path", PAGES, ids=lambda path: str(path.relative_to(PROJECT))
)
def test_pages(path):
    """
    There is every command that a page names.
    """
    assert set() == strange(path.read_text())


def test_messages():
    """
    So it is with messages of the program, and with pages of the console.
    """
    source = PROJECT / "src"
    texts = [*source.rglob("*.py"), *source.rglob("*.html")]
    found = "\n".join(path.read_text() for path in texts)

    assert set() == strange(re.sub(r"</?code>", "`", found))


def test_table():
    """
    The table of all commands has every command and every group.
    """
    page = (PROJECT / "docs/command-line.md").read_text()
    table = page.partition("| command |")[2]
    listed = {name.split()[0] for name in named(table.partition("\n\n")[0])}

    assert {*COMMANDS, *GROUPS} == listed
