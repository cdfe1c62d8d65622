"""
Runs the commands of a document as its reader would, on a machine of its own:
with its own network, `/etc`, `/var/lib` and home, and nothing else to ask.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.conftest import PROJECT
from tests.docs.pages import Block, read_blocks


#: What a line of a note on a block begins with: why the block is not run; what
#: is run before it, and after it; what stands for a name; the file that it is;
#: the exit code of its last line, where that is not 0.
NOT_RUN: Final = "not run:"
THEN: Final = "then:"
_FIRST: Final = "first:"
_WITH: Final = "with:"
FILE: Final = "file:"
_ENDS: Final = "ends:"
KINDS_OF_NOTE: Final = (NOT_RUN, THEN, _FIRST, _WITH, FILE, _ENDS)
#: Names that documents use for machines.
_HOSTS: Final = "127.0.0.1 localhost thim.example acme.thim.example\n"
_SHELL: Final = ("sh", "console")
_PYTHON: Final = "python"
#: Of which something is run for itself.
PROGRAMS: Final = (*_SHELL, _PYTHON)
#: What is no program and no data.
PROSE: Final = "text"
#: Ten times what the longest page takes on a busy machine.
_SECONDS: Final = 900
_SOURCES: Final = f"{PROJECT / 'src'}:{PROJECT}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """
    What came of a document's commands: the exit code, the last block that was
    begun, and what was written.
    """

    code: int
    place: str
    output: str


def find_notes(block: Block, kind: str) -> list[str]:
    """
    Return what the note on a *block* says of one *kind*.
    """
    lines = (line.strip() for line in block.note.splitlines())
    return [
        line.removeprefix(kind).strip()
        for line in lines
        if line.startswith(kind)
    ]


def is_run(block: Block) -> bool:
    """
    Tell whether a *block* is run, or something is run on it.
    """
    if find_notes(block, NOT_RUN):
        return False
    return block.language in PROGRAMS or bool(find_notes(block, THEN))


def write_script(page: Path) -> str:
    """
    Write one script of all that a reader of *page* runs.
    """
    return "".join(_write_block(block) for block in read_blocks(page))


def _write_block(block: Block) -> str:
    lines = [f"printf '\\n== %s\\n' {block}"]
    lines += [
        f"cat >{name} <<'END_OF_FILE'\n{block.text}END_OF_FILE"
        for name in find_notes(block, FILE)
    ]
    if is_run(block):
        lines += find_notes(block, _FIRST)
        lines.append(_write_commands(block))
        lines += find_notes(block, THEN)
    return "\n".join([*lines, ""]) if len(lines) > 1 else ""


def _write_commands(block: Block) -> str:
    if block.language not in PROGRAMS:
        return ""
    if block.language == _PYTHON:
        return _write_program(block)
    text = block.text
    if block.language == "console":
        found = re.findall(r"(?m)^\$ (.*)$", text)
        text = "\n".join(found)
    for note in find_notes(block, _WITH):
        name, _, value = note.partition("=")
        text = f"{name}={value}\n" + re.sub(rf"\b{name}\b", f"${name}", text)
    for code in find_notes(block, _ENDS):
        *before, last = text.rstrip().splitlines()
        checked = f"if {last}; then exit 99; else [ $? = {code} ]; fi"
        text = "\n".join([*before, checked])
    return text


def _write_program(block: Block) -> str:
    given = find_notes(block, _WITH)
    before = ["from tests.docs.prelude import *", *given] if given else []
    text = "\n".join([*before, block.text])
    return f"python - <<'END_OF_PROGRAM'\n{text}END_OF_PROGRAM"


@contextlib.contextmanager
def forking(folder: Path) -> Iterator[Path]:
    """
    Have ``thim`` loaded and ready behind a socket in *folder*, until the end
    of the ``with``.
    """
    path = folder / "socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.docs.forking", path],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": _SOURCES},
        cwd=PROJECT,
    )
    try:
        while not path.exists():
            assert process.poll() is None, "tests.docs.forking has ended"
            time.sleep(0.02)
        yield path
    finally:
        process.kill()
        process.wait()


def run_page(page: Path, folder: Path, socket: Path) -> Done:
    """
    Run all commands of *page* in an empty *folder*, with the ``thim`` behind
    a *socket*.
    """
    _furnish(folder)
    prelude = (PROJECT / "tests" / "docs" / "prelude.sh").read_text()
    text = f"set -euo pipefail\n{prelude}{write_script(page)}"
    (folder / "script").write_text(text)
    try:
        done = subprocess.run(
            [
                *("unshare", "--net", "--mount", "--pid", "--fork"),
                *("--mount-proc", "--kill-child"),
                *("bash", folder / "start"),
            ],
            cwd=folder / "work",
            env=_environment(folder, socket),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
        code, raw = done.returncode, done.stdout
    except subprocess.TimeoutExpired as e:
        code, raw = 124, e.stdout or b""
    text = raw.decode("utf-8", "replace")
    places = [line for line in text.splitlines() if line.startswith("== ")]
    place = places[-1].removeprefix("== ") if places else "the beginning"
    return Done(code=code, place=place, output=text)


def _environment(folder: Path, socket: Path) -> dict[str, str]:
    return {
        "PATH": f"{folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder / "home"),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": _SOURCES,
        "THIM_TEST_FOLDER": str(folder),
        "THIM_TEST_SOCKET": str(socket),
    }


def _furnish(folder: Path) -> None:
    for name in ("bin", "home", "work", "etc"):
        (folder / name).mkdir(parents=True)
    programs = {
        "thim": f'exec {sys.executable} -IS {PROJECT}/tests/docs/thim.py "$@"',
        # What a service refuses is a failure here, unless its status is asked.
        "curl": """case "$*" in *http_code*) exec /usr/bin/curl "$@" ;; esac
            exec /usr/bin/curl --fail-with-body "$@\"""",
        "python": f'exec {sys.executable} "$@"',
        "python3": f'exec {sys.executable} "$@"',
        # The other targets are known to be there, and tried elsewhere.
        "make": f"""[ "$1" != run ] || exec thim serve
            exec grep -q "^$1:" {PROJECT}/Makefile""",
    }
    for name, command in programs.items():
        path = folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)
    # In a checkout it is called so before it is on the path.
    installed = folder / "work" / ".venv" / "bin"
    installed.mkdir(parents=True)
    (installed / "thim").symlink_to(folder / "bin" / "thim")
    for name in ("examples", "deploy", "docs"):
        (folder / "work" / name).symlink_to(PROJECT / name)
    (folder / "start").write_text(_START)
    (folder / "hosts").write_text(_HOSTS)
    assert shutil.which("unshare")
    assert os.geteuid() == 0


#: As root of a machine that ends with the last command.
_START: Final = """\
set -eu
ip link set lo up
there=$THIM_TEST_FOLDER
cp -a /etc/. "$there/etc/"
# What a thim of this machine has is not the world's.
rm -rf "$there/etc/thim"
cp "$there/hosts" "$there/etc/hosts"
mount --bind "$there/etc" /etc
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/backups
cd "$there/work"
bash "$there/script"
"""
