import os
import subprocess
import sys

import pytest

from tests.cli.terminal import in_terminal
from thim.cli.tables import lay_line, lay_out, wrap, write_table


TITLES = ("name", "number", "reason")
ROWS = [
    ("acme", "17", "because the vendor has withdrawn what was before"),
    ("labs-of-the-north", "-", "an outage"),
]


def laid_out(width, rows=ROWS, **how):
    """
    The lines of a table for a terminal so wide.
    """
    return list(lay_out(TITLES, rows, width, **how))


class TestWriteTable:
    def test_controls(self, capsys):
        """
        What others wrote cannot drive the terminal, nor begin a line.
        """
        write_table(("name", "reason"), [("acme", "\x1b[2Jgone\nroot  all")])

        assert [
            "name  reason",
            r"acme  \x1b[2Jgone\nroot  all",
        ] == capsys.readouterr().out.splitlines()

    def test_file(self, capsys):
        """
        Into a file each row is one line, however long.
        """
        write_table(("name", "reason"), [("acme", "x" * 5000)])

        assert f"acme  {'x' * 5000}\n" in capsys.readouterr().out


class TestLayOut:
    def test_fits(self):
        """
        Where there is room columns are as wide as they need to be.
        """
        assert [
            "name               number  reason",
            f"acme               17      {ROWS[0][2]}",
            "labs-of-the-north  -       an outage",
        ] == laid_out(80)

    def test_folded(self):
        """
        Where there is not, the widest is folded between words.
        """
        assert [
            "name               number  reason",
            "acme               17      because the vendor has",
            "                           withdrawn what was before",
            "labs-of-the-north  -       an outage",
        ] == laid_out(52)

    def test_long_word(self):
        """
        What has no spaces is folded anywhere, and nothing of it is lost.
        """
        lines = laid_out(44, [("acme", "17", "0123456789" * 6)])

        assert 44 >= max(map(len, lines))
        assert "0123456789" * 6 == "".join(line[14:] for line in lines[1:])

    def test_narrow_gap(self):
        """
        Before there is no room one space between columns must do.
        """
        row = ("labs-of-the-north", "2026-11-02", "2026-11-02")

        assert ["labs-of-the-north 2026-11-02 2026-11-02"] == (
            laid_out(40, [row])[1:]
        )

    @pytest.mark.parametrize(
        ("text", "lines"),
        [
            ("2026-11-02T09:00:00Z", ["2026-11-02T", "09:00:00Z"]),
            ("prod,default", ["prod,", "default"]),
            ("intel/tcb-info/sgx", ["intel/", "tcb-info/", "sgx"]),
        ],
    )
    def test_within(self, text, lines):
        """
        Instants, lists and names are folded where their parts meet.
        """
        assert lines == list(wrap(text, 11))

    def test_blocks(self):
        """
        Where a table has no room at all each row is a block of lines.
        """
        assert [
            "name    acme",
            "number  17",
            f"reason  {ROWS[0][2]}",
            "",
            "name    labs-of-the-north",
            "number  -",
            "reason  an outage",
        ] == laid_out(30)

    @pytest.mark.parametrize("width", [20, 30, 40, 60, 80, None])
    def test_whole(self, width):
        """
        Whatever the width, no word is cut off.
        """
        words = " ".join(laid_out(width)).split()

        assert all(word in words for row in ROWS for word in row[2].split())

    def test_wide_letters(self):
        """
        Letters that take two cells, and marks that take none, are counted so.
        """
        lines = laid_out(
            80, [("\u6771\u4eac", "17", "x"), ("e\u0301", "1", "x")]
        )

        assert ["\u6771\u4eac  17      x", "e\u0301     1       x"] == lines[1:]

    def test_bold(self):
        """
        Titles are bold on a terminal that is to have it, and nowhere else.
        """
        assert laid_out(80, is_bold=True)[0].startswith("\x1b[1mname")
        assert "\x1b" not in "".join(laid_out(None, is_bold=True))
        assert "\x1b" not in "".join(laid_out(80))


WRITE = [
    sys.executable,
    "-c",
    "import thim.cli.tables as t; t.write_table('ab', [('a', 'one two ' * 7)])",
]


class TestLine:
    @pytest.mark.parametrize("width", [None, 40])
    def test_fits(self, width):
        """
        A line that fits, or is not for a terminal, stays as it is.
        """
        assert ["name   acme"] == list(lay_line("name   acme", width))

    def test_second_column(self):
        """
        What does not fit goes on below where the second column begins.
        """
        assert ["name   one two three four", "       five six seven"] == (
            list(lay_line("name   one two three four five six seven", 25))
        )

    def test_indented(self):
        """
        A line without one goes on a little further in than it began.
        """
        assert ["  ! one two", "    three", "    four"] == (
            list(lay_line("  ! one two three four", 13))
        )

    def test_paragraph(self):
        """
        One that is not indented goes on at the margin.
        """
        assert ["one two", "three"] == list(lay_line("one two three", 8))


class TestTerminal:
    @pytest.mark.parametrize(
        ("environ", "is_bold"),
        [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    )
    def test_bold(self, environ, is_bold):
        """
        A terminal is written to in bold, unless `NO_COLOR` or its kind says
        otherwise; lines are no longer than it is wide.
        """
        with in_terminal(WRITE, environ, columns=40) as terminal:
            head, *lines = terminal.read_all().splitlines()

        bold = "\x1b[1ma  b\x1b[0m"
        assert (bold if is_bold else "a  b") == head
        assert (True, 2) == (40 >= max(map(len, lines)), len(lines))

    def test_pipe(self):
        """
        A pipe gets no bold, and lines that do not depend on `COLUMNS`.
        """
        environ = {**os.environ, "COLUMNS": "20", "FORCE_COLOR": "1"}
        said = subprocess.check_output(WRITE, env=environ, text=True)

        assert ["a  b", f"a  {'one two ' * 7}".rstrip()] == said.splitlines()
