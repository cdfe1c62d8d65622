import os
import subprocess
import sys

from importlib import metadata
from pathlib import Path


_PATH = os.environ.get("PYTHONPATH", "")


def test_version(thim):
    """
    `--version` prints the installed version.
    """
    run = thim("--version")

    assert (0, metadata.version("thim") + "\n") == (run.code, run.text)


def test_help(thim):
    """
    Without a command the commands are listed.
    """
    run = thim("--help")

    assert 0 == run.code
    for command in ("serve", "collateral", "db", "config"):
        assert command in run.text


def test_ctrl_c(tmp_path):
    """
    Ctrl-C ends it quietly also while it is still being loaded.
    """
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    found = subprocess.run(
        [sys.executable, "-m", "thim", "--version"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{_PATH}"},
    )

    assert (130, b"", b"") == (found.returncode, found.stdout, found.stderr)


def test_closed():
    """
    Where nobody is to hear what it says it is done all the same.
    """
    line = f"exec {sys.executable} -m thim config show >&-"
    found = subprocess.run(
        ["sh", "-c", line],
        check=False,
        env={**os.environ, "COLUMNS": "80"},
        stderr=subprocess.PIPE,
    )

    assert (0, b"") == (found.returncode, found.stderr)


def test_full():
    """
    Where what it says cannot be written that is said in a line.
    """
    with Path("/dev/full").open("wb") as full:
        found = subprocess.run(
            [sys.executable, "-m", "thim", "config", "show"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )

    said = b"thim: the output cannot be written: No space left on device\n"
    assert (2, said) == (found.returncode, found.stderr)
