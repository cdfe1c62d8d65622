"""
Processes under test: started, weighed, and ended by their own IDs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import time

from collections.abc import Iterator, Sequence
from pathlib import Path


_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 20.0


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """
    A server under test.
    """

    name: str
    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """
        Return the CPU time that it and its children have taken.
        """
        return sum(_cpu_seconds(pid) for pid in _tree(self.pid))

    def memory(self) -> int:
        """
        Return the memory that it and its children take, in bytes: shared
        pages in proportion, so that workers are not counted twice.
        """
        return sum(_memory(pid, "Pss:") for pid in _tree(self.pid))

    def anonymous_memory(self) -> int:
        """
        Return what of it is the process's own: no file's pages, which the
        kernel takes back when it needs them.
        """
        return sum(_memory(pid, "Pss_Anon:") for pid in _tree(self.pid))


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], port: int, log: Path
) -> Iterator[Server]:
    """
    Run a server, from when it answers on *port* to the end of the ``with``.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        _wait(process, port, log)
        yield Server(name, process.pid, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """
    Return a port on loopback that nobody listens on.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1),
        ):
            return
        time.sleep(0.05)
    msg = f"{process.args!r} does not answer: {log.read_text('utf-8')}"
    raise RuntimeError(msg)


def _tree(root: int) -> list[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(_fields(stat)[1])
    tree = [root]
    for pid in tree:  # grows while it is read
        tree += [child for child, parent in parents.items() if parent == pid]
    return tree


def _fields(stat: Path) -> list[str]:
    # The name, which may hold anything, is in parentheses before them.
    return stat.read_text("ascii", "replace").rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    fields = _fields(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int, name: str) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except OSError:
        text = Path(f"/proc/{pid}/status").read_text("utf-8")
    lines = [line.split() for line in text.splitlines()]
    sizes = {line[0]: line[1] for line in lines if len(line) > 1}
    return int(sizes.get(name) or sizes["VmRSS:"]) * 1024
