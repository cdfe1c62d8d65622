import re

import pytest

from tests.conftest import PROJECT
from tests.docs.pages import (
    PAGES,
    TEMPLATES,
    list_commands,
    list_shown,
    read_blocks,
)
from thim.cli.commands import make_command


#: What stands for something else in a command that is described.
_PLACE = re.compile(r"[A-Z…\[\](){}<>|.*]|^$")


@pytest.fixture(scope="module")
def program():
    """
    The whole command line.
    """
    return make_command()


def find_troubles(command, words):
    """
    Return what is wrong with *words* for a *command* or group.
    """
    while hasattr(command, "commands") and words:
        word = words[0].rstrip(",")
        if word.startswith("-") or _PLACE.search(word):
            break
        # `list`, `show` and the like, in one row of a table.
        if word not in command.commands:
            return [f"there is no {command.name} {word}"]
        command, words = command.commands[word], words[1:]
    known = {
        option
        for each in command.params
        for option in (*each.opts, *each.secondary_opts)
    } | {"-h", "--help"}
    wanted = {
        word.partition("=")[0].strip("[]")
        for word in words
        if word.lstrip("[").startswith("--") and word != "--"
    }
    return [
        f"{command.name} has no option {option}"
        for option in sorted(wanted - known)
    ]


class TestCommands:
    @pytest.mark.parametrize(
        "page", PAGES, ids=[str(page.relative_to(PROJECT)) for page in PAGES]
    )
    def test_there(self, program, page):
        """
        Each command that a page names is there, with each option that the page
        gives it.
        """
        troubles = [
            f"{place}: {trouble}"
            for place, words in list_commands(page)
            for trouble in find_troubles(program, words)
        ]

        assert [] == troubles

    @pytest.mark.parametrize(
        "template", TEMPLATES, ids=[each.name for each in TEMPLATES]
    )
    def test_shown(self, program, template):
        """
        So is each command that a page of the console names.
        """
        troubles = [
            f"{place}: {trouble}"
            for place, words in list_shown(template)
            for trouble in find_troubles(program, words)
        ]

        assert [] == troubles

    def test_wrong(self, program):
        """
        What is not there would be found.
        """
        assert ["there is no tenant made"] == find_troubles(
            program, ["tenant", "made"]
        )
        assert ["create has no option --basis"] == find_troubles(
            program, ["tenant", "create", "acme", "--basis", "x"]
        )


class TestBlocks:
    def test_languages(self):
        """
        Each block says what it is, so that none with commands is passed over.
        """
        silent = [
            str(block)
            for page in PAGES
            for block in read_blocks(page)
            if not block.language
        ]

        assert [] == silent
