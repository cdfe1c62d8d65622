"""
Load by wrk, and what it costs the server.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
import subprocess

from collections.abc import Callable

from bench.processes import Server


_CONNECTIONS = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """
    One server under load for a while.
    """

    requests_per_second: float
    cpu_per_request: float


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """
    Two servers under the same load, in turn: pairs of ours and the yardstick's.
    """

    pairs: list[tuple[Run, Run]]

    def ratio(self, figure: Callable[[Run], float]) -> float:
        """
        Return the median, over the pairs, of ours to the yardstick's.
        """
        return statistics.median(figure(a) / figure(b) for a, b in self.pairs)

    def medians(self, figure: Callable[[Run], float]) -> tuple[float, float]:
        """
        Return the medians of ours and of the yardstick's.
        """
        ours, theirs = zip(*self.pairs, strict=True)
        return (
            statistics.median(map(figure, ours)),
            statistics.median(map(figure, theirs)),
        )


def compare(
    measure: Callable[[Server], Run], ours: Server, theirs: Server, pairs: int
) -> Comparison:
    """
    Measure two servers in turn, now the one first and now the other: what
    else the machine does then falls on both.
    """
    runs = []
    for number in range(pairs):
        if number % 2:
            b, a = measure(theirs), measure(ours)
        else:
            a, b = measure(ours), measure(theirs)
        runs.append((a, b))
    return Comparison(runs)


def put_load(wrk: str, server: Server, seconds: int, *what: str) -> Run:
    """
    Put load on a server, by one thread of another process.
    """
    before = server.cpu_seconds()
    command = [wrk, "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", *what]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    cpu = server.cpu_seconds() - before
    requests, rate = _read(done.stdout)
    return Run(rate, cpu / requests)


def _read(report: str) -> tuple[int, float]:
    requests = re.search(r"(\d+) requests in", report)
    rate = re.search(r"Requests/sec: +([0-9.]+)", report)
    is_bad = "Socket errors" in report or "Non-2xx" in report
    if is_bad or not (requests and rate):
        msg = f"wrk failed:\n{report}"
        raise RuntimeError(msg)
    return int(requests[1]), float(rate[1])
