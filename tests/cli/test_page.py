"""
``thim --help`` and what every command says of itself.
"""

import json
import re
import shlex
import subprocess
import sys

from collections import Counter

import pytest

from tests.cli.tree import all_commands
from tests.conftest import PROJECT
from thim.cli.commands import COMMANDS, GROUPS, make_command
from thim.cli.page import EXAMPLES, SECTIONS


WIDTH = 80


def test_complete():
    """
    The page has every command, once.
    """
    listed = Counter(name for names in SECTIONS.values() for name in names)

    assert Counter([*COMMANDS, *GROUPS]) == listed


def test_lines(thim):
    """
    Each command takes one line of a terminal of 80 columns, under a heading.
    """
    lines = thim("--help").text.splitlines()

    for heading, commands in SECTIONS.items():
        at = lines.index(f"{heading}:")
        for line, name in zip(lines[at + 1 :], commands, strict=False):
            assert (name, True) == (line.split()[0], line.endswith("."))


def test_narrow(thim, monkeypatch):
    """
    On 40 columns no line is longer than that.
    """
    monkeypatch.setenv("COLUMNS", "40")

    assert 40 >= max(map(len, thim("--help").text.splitlines()))


def test_where_exit_codes_are(thim):
    """
    It says where the exit codes are.
    """
    assert "docs/command-line.md" in thim("--help").text


def test_loads_nothing():
    """
    The page loads no command, no terminal and no store.
    """
    code = (
        "import sys; sys.argv = ['thim', '--help']\n"
        "from thim.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "import json; print(); print(json.dumps(sorted(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    loaded = set(json.loads(said.stdout.splitlines()[-1]))
    ours = {name for name in loaded if name.startswith("thim.cli.")}
    assert {
        f"thim.cli.{name}"
        for name in ("base", "commands", "failing", "main", "page")
    } == ours
    assert not loaded & {"rich", "sqlalchemy", "thim.store", "cryptography"}


def test_examples_of_commands():
    """
    Examples are of commands that there are.
    """
    assert set(EXAMPLES) - {""} <= set(all_commands())


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_examples(name):
    """
    Every example is understood by the command that shows it, and fits.
    """
    for example in EXAMPLES[name]:
        program, *words = shlex.split(example.partition(" > ")[0])
        assert "thim" == program
        found = " ".join(words[: len(name.split()) or 1])
        assert found.startswith(name)
        context = make_command().make_context("thim", words)
        _understand(context)
        assert len(f"    {example}") <= WIDTH


def _understand(context):
    """Read the words as the command would, down to its own options."""
    words = [*context._protected_args, *context.args]
    if not hasattr(context.command, "commands") or not words:
        return
    name, command, rest = context.command.resolve_command(context, words)
    _understand(command.make_context(name, rest, parent=context))


def test_shown(thim):
    """
    A command's own help ends with its examples, each on its own line.
    """
    run = thim("token", "create", "--help")

    lines = run.text.splitlines()
    assert ["  Example:", f"    {EXAMPLES['token create'][0]}"] == lines[-2:]


def test_suggested(thim):
    """
    Who mistypes a command is told of one that there is.
    """
    run = thim("basline")

    assert 2 == run.code
    assert "Did you mean 'baseline'?" in run.err


def test_words():
    """
    Every word of a command is in the table that says what it does.
    """
    page = PROJECT / "docs" / "decisions" / "0032-command-line.md"
    rows = [
        row.split("|")[1]
        for row in page.read_text().splitlines()
        if row.startswith("| `")
    ]

    words = {name.split()[-1] for name in all_commands()}
    assert words == set(re.findall(r"`([^`]+)`", "".join(rows)))
