"""
The kit, made and installed once for all processes of the test run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import secrets
import subprocess
import sys

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.deploy.helm import PROJECT


WHEELS = PROJECT / ".venv" / "wheels"
#: The interpreter that the test environment itself was made with.
PYTHON = Path(sys.base_prefix) / "bin" / "python3"


@dataclasses.dataclass(frozen=True, slots=True)
class Kit:
    """
    The archive, and where it is unpacked.
    """

    archive: Path
    folder: Path


def build(out: Path, **environment: str) -> Path:
    """
    Make the kit as `make kit` does, and return the archive.
    """
    program = Path(sys.executable).with_name("cyclonedx-py")
    done = subprocess.run(
        [
            *(sys.executable, PROJECT / "deploy" / "kit" / "build.py"),
            *("--wheels", WHEELS, "--out", out, "--cyclonedx", program),
        ],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def unpack(archive: Path, folder: Path) -> Path:
    """
    Unpack the kit into *folder*, and return where it is.
    """
    # Debian's Python 3.11 has not the filters of tarfile yet.
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    return folder / archive.stem


def provide(folder: Path) -> Kit:
    """
    Make and unpack the kit in *folder*, unless that was done.
    """
    with doing_once(folder / "built") as is_due:
        if is_due:
            unpack(build(folder), folder)
    (archive,) = folder.glob("*.tar")
    return Kit(archive, folder / archive.stem)


@contextlib.contextmanager
def doing_once(done: Path) -> Iterator[bool]:
    """
    Tell whether something is still to be done, which no other process begins
    until the end of the ``with``.
    """
    done.parent.mkdir(exist_ok=True)
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_due = not done.exists()
        yield is_due
        done.touch()


@contextlib.contextmanager
def apart() -> Iterator[Sequence[str]]:
    """
    Make a network namespace in which nobody is but this machine itself; return
    the words in front of a command that runs there.
    """
    name = f"thim-{secrets.token_hex(3)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    inside = ("ip", "netns", "exec", name)
    try:
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        yield inside
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def install(
    kit: Path, folder: Path, before: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """
    Install the kit as an operator does whose home is empty.
    """
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    given: Mapping[str, str] = {
        "HOME": str(home),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHON": str(PYTHON),
        **environment,
    }
    return subprocess.run(
        [*before, kit / "install.sh", folder],
        env=given,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
