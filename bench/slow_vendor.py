"""
A cached document while the vendor takes seconds for each answer, against the
same document while nothing else goes on.
"""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from collections.abc import Iterator
from pathlib import Path

from bench.cached_get import Bench
from bench.processes import Server, free_port, running
from bench.report import Gate, at_most


_THIM = [sys.executable, "-m", "thim"]
_WARM = "/sgx/certification/v4/tcb?fmspc=00606A000000"
# Numbers that the vendor has withdrawn: each costs it one request, and stays a
# miss.
_COLD = tuple(
    f"/sgx/certification/v4/tcb?fmspc={fmspc}&tcbEvaluationDataNumber={number}"
    for number in range(1, 18)
    for fmspc in (
        "00606A000000",
        "00906ED50000",
        "00A067110000",
        "00806F050000",
        "00A06D080000",
    )
)
_CALLERS = 8
_PAUSE = 0.25
_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}


def slow_vendor(bench: Bench) -> Iterator[Gate]:
    """
    Compare the 99th percentile of the time that a cached GET takes.
    """
    folder = bench.folder / "vendor"
    folder.mkdir()
    with _simulating(folder) as admin, _serving(folder) as server:
        url = f"http://127.0.0.1:{server.port}"
        _warm_up(url)
        pairs = []
        cold = iter(_COLD)
        before = _asked(admin)
        for _ in range(bench.pairs):
            idle = _p99(bench, url)
            with _slow(admin), _missing(url, cold):
                pairs.append((_p99(bench, url), idle))
        asked = _asked(admin) - before
        size = server.memory() / (1024 * 1024)
    slow, idle = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(
        f"slow vendor, {asked} requests: p99 of a cached GET {slow:.0f} us, "
        f"idle {idle:.0f} us"
    )
    ratio = statistics.median(a / b for a, b in pairs)
    yield at_most("cached GET beside a slow vendor, p99 to idle", ratio, 2.0)
    yield at_most("memory of a worker that asks vendors, MiB", size, 120)


@contextlib.contextmanager
def _simulating(folder: Path) -> Iterator[str]:
    port, admin = free_port(), free_port()
    command = [
        *_THIM,
        "simulate",
        "--listen",
        f"127.0.0.1:{port}",
        "--admin",
        f"127.0.0.1:{admin}",
        "--write-config",
        str(folder / "thim.toml"),
    ]
    with running("simulate", command, port, folder / "simulate.log"):
        _await_file(folder / "thim.toml")
        yield f"http://127.0.0.1:{admin}"


def _await_file(path: Path) -> None:
    """Wait for what the simulation writes when it listens already."""
    until = time.monotonic() + 10
    while not (path.is_file() and path.stat().st_size):
        if time.monotonic() > until:
            msg = f"{path} was never written"
            raise RuntimeError(msg)
        time.sleep(0.05)


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [*_THIM, "serve", "--config", str(folder / "thim.toml")]
    command += ["--listen", f"127.0.0.1:{port}"]
    with running("thim", command, port, folder / "serve.log") as server:
        yield server


def _warm_up(url: str) -> None:
    for _ in range(3):
        if _status(url + _WARM) == 200:
            break
    time.sleep(3)  # what else a new service asks for


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        return e.code


@contextlib.contextmanager
def _slow(admin: str) -> Iterator[None]:
    fault = {"kind": "slow", "seconds": 3.0}
    _send("POST", f"{admin}/faults", fault)
    yield
    _send("DELETE", f"{admin}/faults", None)


def _send(method: str, url: str, value: object) -> None:
    body = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(url, data=body, method=method)
    with urllib.request.urlopen(request, timeout=10):
        pass


@contextlib.contextmanager
def _missing(url: str, cold: Iterator[str]) -> Iterator[None]:
    """
    Have callers ask for what is not there, all the time.
    """
    ended = threading.Event()
    threads = [
        threading.Thread(target=_miss, args=(url, cold, ended))
        for _ in range(_CALLERS)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    yield
    ended.set()
    for thread in threads:
        thread.join()


def _miss(url: str, cold: Iterator[str], ended: threading.Event) -> None:
    while not ended.wait(_PAUSE):
        path = next(cold, None)
        if path is not None:
            _status(url + path)


def _asked(admin: str) -> int:
    """
    Return how many requests the vendor has had.
    """
    with urllib.request.urlopen(f"{admin}/requests", timeout=10) as answer:
        return int(json.load(answer)["total"])


def _p99(bench: Bench, url: str) -> float:
    """
    Return the 99th percentile in microseconds.
    """
    command = [bench.tools["wrk"], "-t1", "-c2", f"-d{bench.seconds}s"]
    done = subprocess.run(
        [*command, "--latency", url + _WARM],
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"99%\s+([0-9.]+)(us|ms|s)", done.stdout)
    if found is None:
        msg = f"wrk failed:\n{done.stdout}"
        raise RuntimeError(msg)
    return float(found[1]) * _UNITS[found[2]]
