"""
Attesting SGX enclaves over HTTP, beside the two signatures that each token
costs: the quote's, which is verified, and the token's own.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import json
import statistics
import sys
import time

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from bench.cached_get import Bench
from bench.load import Run, put_load
from bench.processes import Server, free_port, running
from bench.report import Gate, at_least, at_most


_THIM = [sys.executable, "-m", "thim"]
_FMSPC = "00606A000000"
_PATH = "/attest/SgxEnclave?api-version=2020-10-01"
#: Of one machine; each enclave's report data are its own.
_QUOTES = 64
_SIGNATURES = 300
_WARM = (
    f"/sgx/certification/v4/tcb?fmspc={_FMSPC}",
    "/sgx/certification/v4/qe/identity",
    "/sgx/certification/v4/pckcrl?ca=platform",
    "/sgx/certification/v4/rootcacrl",
)
#: wrk's own language: one of the bodies for each request, in turn.
_SCRIPT = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local headers = {["Content-Type"] = "application/json"}
local n = 0
request = function()
  n = n %% #bodies + 1
  return wrk.format("POST", "%s", headers, bodies[n])
end
"""


@dataclasses.dataclass(frozen=True, slots=True)
class _Bare:
    """
    Seconds of CPU for the two signatures.
    """

    verify: float
    sign: float

    @property
    def both(self) -> float:
        """
        Return their sum.
        """
        return self.verify + self.sign


def attest(bench: Bench) -> Iterator[Gate]:
    """
    Measure what a token costs, with all collateral there.
    """
    wrk, folder = bench.tools["wrk"], bench.folder / "attest"
    folder.mkdir()
    with _serving(folder) as server:
        script = folder / "attest.lua"
        script.write_text(_SCRIPT % (folder / "bodies", _PATH))
        url = f"http://127.0.0.1:{server.port}{_PATH}"
        pairs: list[tuple[Run, _Bare]] = []
        for _ in range(bench.pairs):
            load = "-s", str(script), url
            run = put_load(wrk, server, bench.seconds, *load)
            pairs.append((run, _measure_bare()))
    cost = statistics.median(run.cpu_per_request for run, _ in pairs)
    ratio = statistics.median(
        run.cpu_per_request / bare.both for run, bare in pairs
    )
    bare = statistics.median(bare.both for _, bare in pairs)
    print(
        f"attest: {1e6 * cost:.0f} us of CPU for a token, {1e6 * bare:.0f} us "
        f"for its two signatures alone"
    )
    yield at_least("SGX attestations / s of CPU", 1 / cost, 1000)
    yield at_most("CPU of a token / of its two signatures", ratio, 2.2)


def _measure_bare() -> _Bare:
    digest = hashes.SHA256()
    quoting = ec.generate_private_key(ec.SECP256R1())
    signature = quoting.sign(bytes(432), ec.ECDSA(digest))
    public = quoting.public_key()
    signing = rsa.generate_private_key(65537, 2048)
    claims, plain = bytes(4096), padding.PKCS1v15()
    times = []
    for work in (
        lambda: public.verify(signature, bytes(432), ec.ECDSA(digest)),
        lambda: signing.sign(claims, plain, digest),
    ):
        begin = time.process_time()
        for _ in range(_SIGNATURES):
            work()
        times.append((time.process_time() - begin) / _SIGNATURES)
    return _Bare(*times)


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[Server]:
    """
    Serve what a simulated Intel has, and write bodies with its quotes.
    """
    vendor, admin, port = free_port(), free_port(), free_port()
    config = folder / "sim.toml"
    simulate = [*_THIM, "simulate", "--listen", f"127.0.0.1:{vendor}"]
    simulate += ["--admin", f"127.0.0.1:{admin}"]
    simulate += ["--write-config", str(config)]
    serve = [*_THIM, "serve", "--config", str(config)]
    serve += ["--listen", f"127.0.0.1:{port}"]
    with (
        running("simulate", simulate, admin, folder / "simulate.log"),
        running("thim", serve, port, folder / "thim.log") as server,
    ):
        for path in _WARM:
            _ask(port, "GET", path)
        bodies = [_make_body(admin, number) for number in range(_QUOTES)]
        (folder / "bodies").write_text("\n".join(bodies) + "\n")
        for body in bodies:
            _ask(port, "POST", _PATH, body)
        yield server


def _make_body(admin: int, number: int) -> str:
    order: dict[str, Any] = {
        "platform": "ice-1",
        "kind": "sgx-v3",
        "report_data": f"{number:0128x}",
    }
    found = json.loads(_ask(admin, "POST", "/quotes", json.dumps(order)))
    raw = bytes.fromhex(found["quote"])
    return json.dumps({"quote": base64.urlsafe_b64encode(raw).decode()})


def _ask(port: int, method: str, path: str, body: str | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        headers = {"content-type": "application/json"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    if answer.status != http.HTTPStatus.OK:
        msg = f"{method} {path}: {answer.status} {content[:300]!r}"
        raise RuntimeError(msg)
    return content
