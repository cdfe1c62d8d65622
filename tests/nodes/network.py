"""
Hosts that are network namespaces, and bridges between them, whose cables can
be pulled.

Names are of this process alone, addresses are seen by nobody outside, and all
is gone with ``close``.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import os
import secrets
import signal
import subprocess
import time

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final


_FOLDER: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
#: For how long something may take to end by itself.
_PATIENCE: Final = 10.0
#: The bridge in its namespace; not ``br``, which `ip` takes for a word.
_BRIDGE: Final = "bridge0"


class Network:
    """
    Hosts and bridges.
    """

    def __init__(self) -> None:
        self._prefix = f"thim-{os.getpid()}-{secrets.token_hex(3)}"
        self._made: list[str] = []

    def inside(self, host: str) -> tuple[str, ...]:
        """
        Return the words in front of a command that runs on *host*.
        """
        return ("ip", "netns", "exec", self._name(host))

    def add_host(self, host: str) -> None:
        """
        Add a host without cables.
        """
        name = self._name(host)
        _ip("netns", "add", name)
        self._made.append(name)
        self._on(host, "link", "set", "lo", "up")

    def add_bridge(self, bridge: str) -> None:
        """
        Add a bridge without cables.
        """
        self.add_host(bridge)
        self._on(bridge, "link", "add", _BRIDGE, "type", "bridge")
        self._on(bridge, "link", "set", _BRIDGE, "up")

    def connect(self, host: str, bridge: str, address: str) -> None:
        """
        Give *host* an *address* at *bridge*.
        """
        peer = ("peer", "name", host, "netns", self._name(bridge))
        self._on(host, "link", "add", bridge, "type", "veth", *peer)
        self._on(host, "address", "add", f"{address}/24", "dev", bridge)
        self._on(host, "link", "set", bridge, "up")
        self._on(bridge, "link", "set", host, "up")
        self.mend(host, bridge)

    def cut(self, host: str, bridge: str) -> None:
        """
        Lose all that goes from *host* to *bridge* and back, without a word.
        """
        self._on(bridge, "link", "set", host, "nomaster")

    def mend(self, host: str, bridge: str) -> None:
        """
        Put an end to that.
        """
        self._on(bridge, "link", "set", host, "master", _BRIDGE)

    def staff(self, host: str) -> concurrent.futures.ThreadPoolExecutor:
        """
        Return a thread of this process that is on *host*, and with it what it
        starts.
        """
        return concurrent.futures.ThreadPoolExecutor(
            1, initializer=_enter, initargs=(_FOLDER / self._name(host),)
        )

    def close(self) -> None:
        """
        Remove all.
        """
        while self._made:
            _ip("netns", "delete", self._made.pop(), check=False)

    def _name(self, host: str) -> str:
        return f"{self._prefix}-{host}"

    def _on(self, host: str, *words: str) -> None:
        _ip("-n", self._name(host), *words)


@contextlib.contextmanager
def new_network() -> Iterator[Network]:
    """
    Make a network that ends with the ``with``.
    """
    network = Network()
    try:
        yield network
    finally:
        network.close()


def sweep(pid: int) -> list[str]:
    """
    End all that a process which is no more has left running on its hosts, and
    remove these; return their names.
    """
    left = sorted(path.name for path in _FOLDER.glob(f"thim-{pid}-*"))
    # PostgreSQL takes its shared memory along unless it is killed.
    until = time.monotonic() + _PATIENCE
    _signal(left, signal.SIGINT)
    while _signal(left, signal.SIGCONT) and time.monotonic() < until:
        time.sleep(0.1)
    while _signal(left, signal.SIGKILL):
        time.sleep(0.1)
    for name in left:
        _ip("netns", "delete", name, check=False)
    return left


def _signal(names: Iterable[str], number: signal.Signals) -> list[int]:
    pids = [
        int(pid)
        for name in names
        for pid in _ip("netns", "pids", name, check=False).split()
    ]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return pids


def _ip(*words: str, check: bool = True) -> str:
    done = subprocess.run(
        ["ip", *words], capture_output=True, check=False, text=True
    )
    assert not (check and done.returncode), (words, done.stderr)
    return done.stdout


def _enter(namespace: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with namespace.open() as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
