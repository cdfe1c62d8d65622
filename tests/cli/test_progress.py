"""
How far long work is, for who waits at a terminal.
"""

import json
import shlex
import sys

import pytest

from tests.cli.terminal import in_terminal


@pytest.fixture
def command(store, tmp_path):
    """
    A command that takes in a file of which nothing holds, and writes to
    another one.
    """
    file = tmp_path / "platforms.csv"
    file.write_text("nothing,of,all,that\n" * 3)
    words = ("-m", "thim", "platform", "import", file, "--store", store)
    return shlex.join(map(str, (sys.executable, *words)))


class TestShown:
    def test_terminal(self, command, tmp_path):
        """
        A terminal on standard error sees it, while everything that is said
        goes to standard output: here a file.
        """
        out = tmp_path / "out.txt"
        with in_terminal(["sh", "-c", f"{command} > {out}"], {}) as terminal:
            seen = terminal.read_all()

        assert "Platforms" in seen
        assert "refused: " not in seen
        assert 3 == out.read_text().count("refused: ")

    def test_json(self, command, tmp_path):
        """
        Who wants JSON sees none.
        """
        out = tmp_path / "out.json"
        line = f"{command} --json > {out}"
        with in_terminal(["sh", "-c", line], {}) as terminal:
            seen = terminal.read_all()

        assert "Platforms" not in seen
        assert 3 == json.loads(out.read_text())["refused"]


def test_taken_away(store, tmp_path):
    """
    At the end nothing is left of it, but what was done.
    """
    words = (
        "db",
        "backup",
        "-o",
        str(tmp_path / "b.db"),
        "--store",
        str(store),
    )
    command = [sys.executable, "-m", "thim", *words]
    with in_terminal(command, {}) as terminal:
        seen = terminal.read_all()

    assert "Backing up" in seen
    after = seen.rpartition("Backing up")[2]
    assert "\x1b[2K" in after.partition("backup ")[0]
