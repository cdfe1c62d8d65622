"""
A document that was asked for before, over keep-alive, against nginx with the
same answer in a file; and the memory that a worker takes.
"""

from __future__ import annotations

import dataclasses
import functools
import ssl
import urllib.request

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.load import Run, compare, put_load
from bench.nginx import serving_file
from bench.processes import Server
from bench.report import Gate, at_least, at_most
from bench.service import serving


PATH = "/sgx/certification/v4/tcb?fmspc=90806F000000"
_MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """
    What the measurements need.
    """

    tools: Mapping[str, str]
    folder: Path
    store: Path
    tls: tuple[Path, Path]
    pairs: int
    seconds: int
    platforms: int


def idle_memory(bench: Bench) -> Iterator[Gate]:
    """
    Weigh a worker that has answered nothing yet.
    """
    with serving(bench.store) as server:
        fetch(server, "/health/ready", "http")
        size = server.memory() / _MIB
    yield at_most("idle memory of one worker, MiB", size, 120)


def cached_get(bench: Bench) -> Iterator[Gate]:
    """
    Compare over plain HTTP.
    """
    rate, cpu = _ratios(bench, "http")
    yield at_least("cached GET, requests/s to nginx's", rate, 1.3)
    yield at_most("cached GET, CPU per request to nginx's", cpu, 0.75)


def cached_get_tls(bench: Bench) -> Iterator[Gate]:
    """
    Compare over TLS.
    """
    rate, _ = _ratios(bench, "https")
    yield at_least("cached GET under TLS, requests/s to nginx's", rate, 0.9)


def _ratios(bench: Bench, scheme: str) -> tuple[float, float]:
    tls = bench.tls if scheme == "https" else None
    with serving(bench.store, tls) as thim:
        answer = fetch(thim, PATH, scheme)
        folder = bench.folder / scheme
        with serving_file(bench.tools["nginx"], folder, answer, tls) as nginx:
            _check_same(answer, fetch(nginx, PATH, scheme))
            measure = functools.partial(_measure, bench, scheme)
            compared = compare(measure, thim, nginx, bench.pairs)

    size = sum(len(k) + len(v) + 4 for k, v in answer[0].items())
    print(f"{scheme}: {len(answer[1])} bytes of body, {size} of headers")
    figures = (("requests/s", figure_rate), ("us of CPU", figure_cpu))
    for unit, figure in figures:
        ours, theirs = compared.medians(figure)
        print(f"  {unit:12} thim {ours:10.1f}   nginx {theirs:10.1f}")
    return compared.ratio(figure_rate), compared.ratio(figure_cpu)


def figure_rate(run: Run) -> float:
    """
    Return the requests per second.
    """
    return run.requests_per_second


def figure_cpu(run: Run) -> float:
    """
    Return the microseconds of CPU for each request.
    """
    return run.cpu_per_request * 1e6


def _measure(bench: Bench, scheme: str, server: Server) -> Run:
    url = f"{scheme}://127.0.0.1:{server.port}{PATH}"
    return put_load(bench.tools["wrk"], server, bench.seconds, url)


def fetch(
    server: Server, path: str, scheme: str
) -> tuple[dict[str, str], bytes]:
    """
    Ask once; return the headers, names in lower case, and the body.
    """
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    url = f"{scheme}://127.0.0.1:{server.port}{path}"
    with urllib.request.urlopen(url, context=anyone, timeout=10) as answer:
        headers = {k.lower(): v for k, v in answer.headers.items()}
        return headers, answer.read()


def _check_same(
    ours: tuple[dict[str, str], bytes], theirs: tuple[dict[str, str], bytes]
) -> None:
    """
    Compare like with like: the same headers, but for those of the server.
    """
    own = {"connection", "date", "server"}
    kept = [
        {k: v for k, v in a[0].items() if k not in own} for a in (ours, theirs)
    ]
    if kept[0] != kept[1] or ours[1] != theirs[1]:
        msg = f"the answers differ: {kept}"
        raise RuntimeError(msg)
