"""
PCK certificates of platforms that ask at random, among a thousand and among
many more: against each other, and against nginx with one such answer in a file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import random
import time

from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509

from bench.cached_get import Bench, fetch, figure_cpu, figure_rate
from bench.load import Comparison, Run, compare, put_load
from bench.nginx import serving_file
from bench.processes import Server
from bench.report import Gate, at_least, at_most
from bench.service import serving_fleet
from thim.collateral.platforms import PlatformId
from thim.intel.pck import PckTcbm
from thim.services.clock import utc_now
from thim.services.ingest import ingest
from thim.services.register import Brought, Registrar
from thim.simulate.certified import PckTcb
from thim.simulate.fleet import TCB, FleetMember, fleet_qe_id, make_fleet
from thim.simulate.pki import Intel
from thim.store.create import create_store
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


_FEW = 1000
_FMSPC = bytes.fromhex("00606A000000")
_BATCH = 1000
#: So many different requests, in a random order, over and over again.
_REQUESTS = 100_000
_WARM_UP = 5
_MIB = 1024 * 1024
_GB = 1e9
_RAW = PckTcbm(cpusvn=TCB.cpusvn, pcesvn=TCB.pcesvn)
_SCRIPT = """\
local requests, at = {}, 0
function init(arguments)
  for path in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Make:
    """
    What machines have in common: FMSPC and TCB.
    """

    fmspc: bytes
    tcb: PckTcb


_MAKE = Make(_FMSPC, TCB)


def pck_certificates(bench: Bench) -> Iterator[Gate]:
    """
    Compare a large fleet with a small one, and both with nginx.
    """
    intel = Intel()
    few, many = (
        fill(bench.folder / f"fleet-{count}", intel, count)
        for count in (_FEW, bench.platforms)
    )
    size = many.stat().st_size / _GB
    yield at_most(f"{bench.platforms} platforms on disk, GB", size, 0.6)
    script = bench.folder / "requests.lua"
    script.write_text(_SCRIPT, "ascii")
    paths = {
        store: _write_paths(store, intel, count)
        for store, count in ((few, _FEW), (many, bench.platforms))
    }
    with contextlib.ExitStack() as stack:
        small = stack.enter_context(serving_fleet(few, intel))
        large = stack.enter_context(serving_fleet(many, intel))
        answer = fetch(large, paths[many].read_text().split("\n", 1)[0], "http")
        nginx = stack.enter_context(
            serving_file(bench.tools["nginx"], bench.folder / "pck", answer)
        )
        lists = {
            small.port: paths[few],
            large.port: paths[many],
            nginx.port: paths[many],
        }
        measure = functools.partial(_measure, bench, script, lists)
        # A page's first touch costs more than any other: measured is a service
        # that has run for a while.
        for _ in range(_WARM_UP):
            measure(large)
        to_small = compare(measure, large, small, bench.pairs)
        to_nginx = compare(measure, large, nginx, bench.pairs)
        memory = large.anonymous_memory() / _MIB
        print(f"  mapped in addition: {large.memory() / _MIB - memory:.0f} MiB")
    _print(bench.platforms, to_small, to_nginx)
    yield at_least(
        "PCK certificates, requests/s to 1000 platforms'",
        to_small.ratio(figure_rate),
        0.9,
    )
    yield at_least(
        "PCK certificates, requests/s to nginx's",
        to_nginx.ratio(figure_rate),
        0.9,
    )
    yield at_most("memory of a worker with them, MiB", memory, 200)


def _print(count: int, to_small: Comparison, to_nginx: Comparison) -> None:
    for name, compared in (
        (f"{_FEW} platforms", to_small),
        ("nginx", to_nginx),
    ):
        ours, theirs = compared.medians(figure_rate)
        cpu, their_cpu = compared.medians(figure_cpu)
        print(
            f"  {count} platforms {ours:.0f}/s, {cpu:.1f} us of CPU; "
            f"{name} {theirs:.0f}/s, {their_cpu:.1f} us"
        )


def fill(
    folder: Path, intel: Intel, count: int, kinds: Sequence[Make] = (_MAKE,)
) -> Path:
    """
    Make a store in *folder* with *count* platforms, each with one certificate;
    a thousand of them in a row are alike, and *kinds* take turns.
    """
    folder.mkdir(exist_ok=True)
    store = folder / "thim.db"
    create_store(store, intel.anchors)
    now = utc_now()
    begin = time.monotonic()
    with Ledger(store, intel.anchors) as ledger:
        files = [("ca.pem", to_pem(intel.certificates))]
        list(ingest(files, ledger=ledger, now=now))
        registrar = Registrar(ledger, now)
        for batch in batches(intel, count, kinds):
            for taken in registrar.take(batch):
                if taken.reason:
                    raise RuntimeError(taken)
    seconds = time.monotonic() - begin
    rate = count / seconds
    print(f"imported {count} platforms in {seconds:.0f} s: {rate:.0f}/s")
    return store


def batches(
    intel: Intel, count: int, kinds: Sequence[Make] = (_MAKE,)
) -> Iterator[list[Brought]]:
    """
    Make *count* platforms, a thousand at a time; *kinds* take turns.
    """
    for start, make in zip(
        range(0, count, _BATCH), itertools.cycle(kinds), strict=False
    ):
        size = min(_BATCH, count - start)
        fleet = make_fleet(
            intel, make.fmspc, size, start=start, raw_tcb=make.tcb
        )
        yield [_bring(member) for member in fleet]


def _bring(member: FleetMember) -> Brought:
    tcb = member.raw_tcb
    return Brought(
        id=PlatformId(member.qe_id, member.pce_id),
        source="bench",
        raw_tcbs=(PckTcbm(cpusvn=tcb.cpusvn, pcesvn=tcb.pcesvn),),
        certificates=(x509.load_der_x509_certificate(member.certificate),),
        is_complete=True,
    )


def _write_paths(store: Path, intel: Intel, count: int) -> Path:
    draw = random.Random(count)
    tail = (
        f"&cpusvn={_RAW.cpusvn.hex()}"
        f"&pcesvn={_RAW.pcesvn.to_bytes(2, 'little').hex()}&pceid=0000"
    )
    path = store.with_name("paths.txt")
    with path.open("w", encoding="ascii") as file:
        for _ in range(_REQUESTS):
            qe_id = fleet_qe_id(intel, draw.randrange(count)).hex()
            file.write(f"/sgx/certification/v4/pckcert?qeid={qe_id}{tail}\n")
    return path


def _measure(
    bench: Bench, script: Path, lists: dict[int, Path], server: Server
) -> Run:
    url = f"http://127.0.0.1:{server.port}/"
    more = ("-s", str(script), url, "--", str(lists[server.port]))
    return put_load(bench.tools["wrk"], server, bench.seconds, *more)
