import re

from tests.cli.evidence import MRTD


class TestTree:
    def test_authentic(self, world):
        """
        Each step has a line with its number, its result and what was found.
        """
        run = world.verify(world.quote(), "--baseline", "standard")

        lines = run.text.splitlines()
        assert "tdx-quote-v4, authentic, UpToDate" in lines[0]
        numbers = re.findall(r"^. +(\d+) .*: ok", run.text, re.MULTILINE)
        assert list(range(1, 17)) == [
            int(n) for n in re.findall(r"─ +(\d+) .*: ok", run.text)
        ]
        assert not numbers
        assert "sha256" in run.text
        assert "debug: no" in run.text

    def test_behind(self, world):
        """
        A level that is behind has its findings below it.
        """
        run = world.verify(world.quote(), "--baseline", "early")

        text = run.text
        assert 1 == run.code
        assert re.search(r"13 .*: behind .*\n.*└── .*is needed", text) or (
            re.search(r"1[345] .*: behind .*\n.*── .* needed", text)
        )

    def test_failed(self, world):
        """
        A step that fails is marked, and those behind it were not reached.
        """
        raw = bytearray(world.quote().read_bytes())
        raw[MRTD] ^= 1

        run = world.verify(world.write(bytes(raw)))

        assert "not authentic" in run.text
        assert re.search("12 .*: FAILED", run.text)
        assert re.search("13 .*: -", run.text)

    def test_colour_only_on_a_terminal(self, world):
        """
        Into a pipe there are no escape sequences.
        """
        run = world.verify(world.quote())

        assert "\x1b" not in run.text

    def test_no_evidence(self, world):
        """
        What is no evidence has no steps, but a reason.
        """
        run = world.verify(world.write(b"\x1b[31mhello"))

        assert "not authentic" in run.text
        assert "neither a quote" in run.text


def test_help_tells_the_exit_codes(thim):
    """
    The contract of exit codes stands in the help.
    """
    run = thim("verify", "--help")

    text = " ".join(run.text.split())
    for code in "0123":
        assert f"{code}: " in text
