"""
`thim doctor --code`, and what the page on it says.
"""

import re
import subprocess
import sys

from pathlib import Path

import pytest

from thim.client.doctor.remedies import SHOWN
from thim.client.error_codes import find_codes


PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


class TestCode:
    def test_known(self, thim):
        """
        A code is explained: name, whose it is, causes, what to do.
        """
        run = thim("doctor", "--code", "0xe019")

        assert 0 == run.code
        assert run.text.startswith("0xe019 SGX_QL_NETWORK_ERROR\nQPL")
        assert "\n 1. QPL: the service was not reached." in run.text
        assert "\n    -> `thim doctor --url URL`" in run.text

    def test_json(self, thim):
        """
        The same is there for machines.
        """
        run = thim("doctor", "--code", "461", "--json")
        (code,) = run.json

        assert (461, "461") == (code["number"], code["name"])
        assert {"cause", "mend"} == set(code["causes"][0])

    @pytest.mark.parametrize("code", ["0xe0aa", "SGX_QL_NETWORK", "\x1b[2J"])
    def test_unknown(self, thim, code):
        """
        Of one that is not known it says which are, and ends with 3.
        """
        run = thim("doctor", "--code", code)

        assert 3 == run.code
        assert "0xb001 to 0xb036: QCNL" in run.text
        assert "\x1b" not in run.text


class TestOutput:
    def test_full_disk(self):
        """
        Where nothing can be written nobody has been told anything: 3.
        """
        command = [sys.executable, "-m", "thim", "doctor", "--code", "0xe019"]
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, check=False
            )

        assert 3 == done.returncode
        assert b"cannot be written: No space left" in done.stderr
        assert b"Traceback" not in done.stderr


class TestPage:
    def test_options(self, thim):
        """
        The page names every option, and no other.
        """
        page = PAGE.read_text()
        table = page[page.index("## Options") : page.index("| exit code")]
        named = set(re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE))
        options = set(re.findall(r"--[a-z-]+", thim("doctor", "-h").text))

        assert options - {"--help"} == named

    def test_codes(self):
        """
        The codes that clients are said to show are known.
        """
        shown = {code for codes in SHOWN.values() for code in codes}

        assert shown
        assert set() == {code for code in shown if not find_codes(code)}
