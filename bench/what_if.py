"""
What another set of collateral makes of a fleet: a million platforms with random
TCBs, a third of them with TDX SVNs, against twenty levels for each of several
FMSPCs.

No machine is as quick as another, and a busy one is slower than itself: times
are printed beside a yardstick of the same run, which is comparing each of the
same columns with one number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import time

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy

from bench.cached_get import Bench
from bench.pck_certificates import Make, fill
from bench.report import Gate, at_most
from thim.baseline.documents import DocumentSet
from thim.baseline.fleet import SVNS, UNKNOWN, Columns, Fleet
from thim.baseline.impact import evaluate
from thim.baseline.snapshot import pack_fleet
from thim.intel.names import EnclaveKind, Tee
from thim.services.clock import utc_now
from thim.services.fleet import DocumentReader
from thim.services.ingest import Outcome, ingest
from thim.simulate.certified import PckTcb
from thim.simulate.pki import Intel
from thim.store.fleet_view import FleetView
from thim.store.ledger import Ledger
from thim.store.replica import Replica


_FMSPCS = [
    bytes.fromhex(text)
    for text in (
        "00606A000000",
        "00806F050000",
        "90C06F000000",
        "50806F000000",
        "00A06D080000",
    )
]
_NUMBERS = (17, 18)
_LEVELS = 20
_MOST_SVN = 16
_PCESVNS = (5, 16)
#: Platforms of a store come in so many kinds, each of a random TCB.
_KINDS = 1000
_ROUNDS = 15
_ASKED = 3
_KIB = 1024
_MS = 1000
_DATE = "2025-01-01T00:00:00Z"
#: The lowest level is met by any platform.
_STATUSES = ("UpToDate", "SWHardeningNeeded", "OutOfDate")
_TELL = """
    INSERT INTO fleet_tcbs (qe_id, pce_id, fmspc, tee_tcb_svn, qe_svn,
                            td_qe_svn, origin, source, seen)
    VALUES (?, ?, ?, ?, ?, ?, 'evidence', 'bench', 0)
"""


def what_if(bench: Bench) -> Iterator[Gate]:
    """
    Evaluate a fleet, and ask what flips: from a store, and from a snapshot.
    """
    intel = Intel()
    draw = random.Random(bench.platforms)
    kinds = [
        Make(_FMSPCS[i % len(_FMSPCS)], _draw_tcb(draw)) for i in range(_KINDS)
    ]
    store = fill(bench.folder / "what-if", intel, bench.platforms, kinds)
    yield from measure(store, intel, bench.platforms)


def measure(store: Path, intel: Intel, platforms: int) -> Iterator[Gate]:
    """
    Measure with a *store* of *platforms*, which gets documents and TDX SVNs.
    """
    draw = random.Random(platforms)
    _add_documents(store, intel, draw)
    _tell(store, draw)
    replica = Replica(store)
    documents = DocumentReader(replica).read(_NUMBERS[0], _FMSPCS)
    yield _evaluation(_draw_fleet(platforms), documents)
    snapshot = store.with_name("fleet.bin")
    snapshot.write_bytes(pack_fleet(FleetView(replica).load(utc_now())))
    replica.close()
    for name, path, most in (
        ("store", store.with_name("none"), 3),
        ("snapshot", snapshot, 1),
    ):
        runs = [_ask(store, path) for _ in range(_ASKED)]
        best = min(runs, key=lambda run: run.cpu)
        print(
            f"  what if of {platforms} platforms, from a {name}: "
            f"{best.flips} flips, {best.named} of them named; "
            f"{min(run.seconds for run in runs):.2f} s from start to end"
        )
        yield at_most(f"what if, from a {name}, s of CPU", best.cpu, most)
        yield at_most(f"what if, from a {name}, MiB", best.memory, 300)


def _evaluation(fleet: Fleet, documents: DocumentSet) -> Gate:
    def compare_columns() -> None:
        for column in (*fleet.sgx, fleet.pcesvn, *fleet.tdx):
            numpy.greater_equal(column, 7)

    evaluate(fleet, documents)
    ours, yardstick = zip(
        *(
            (_cpu(lambda: evaluate(fleet, documents)), _cpu(compare_columns))
            for _ in range(_ROUNDS)
        ),
        strict=True,
    )
    print(
        f"  evaluating {len(fleet)} platforms, of which {fleet.with_tdx} with "
        f"TDX SVNs, against {_LEVELS} levels: {min(ours):.1f} ms of CPU at "
        f"best, {statistics.median(ours):.1f} in the middle; comparing the "
        f"columns {min(yardstick):.1f} and {statistics.median(yardstick):.1f}"
    )
    return at_most(
        f"evaluating {len(fleet)} platforms, ms of CPU", min(ours), 25
    )


def _cpu(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * _MS


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """
    A process that asked: *memory* in MiB.
    """

    seconds: float
    cpu: float
    memory: float
    flips: int
    named: int


def _ask(store: Path, snapshot: Path) -> _Run:
    command = [sys.executable, "-m", "bench.what_if_once"]
    begin = time.perf_counter()
    done = subprocess.run(
        [*command, str(store), str(snapshot)], check=True, capture_output=True
    )
    seconds = time.perf_counter() - begin
    told = json.loads(done.stdout)
    return _Run(
        seconds=seconds,
        cpu=told["cpu"],
        memory=told["memory"] / _KIB,
        flips=told["flips"],
        named=told["named"],
    )


def _draw_fleet(count: int) -> Fleet:
    """Draw platforms of which hardly two are alike."""
    draw = numpy.random.default_rng(count)
    has_tdx = draw.random(count) < 1 / 3
    # Evidence told of both.
    svns = numpy.where(has_tdx, draw.integers(1, 9, count), UNKNOWN)
    columns = Columns(
        fmspcs=_FMSPCS,
        keys=numpy.arange(1, count + 1),
        fmspc=draw.integers(0, len(_FMSPCS), count, "u2"),
        sgx=draw.integers(0, _MOST_SVN, (count, SVNS), "u1"),
        pcesvn=draw.integers(*_PCESVNS, count, "u2"),
        has_tdx=has_tdx,
        tdx=draw.integers(0, _MOST_SVN, (count, SVNS), "u1"),
        qe=svns,
        td_qe=svns,
        rows=numpy.arange(count),
    )
    return Fleet.from_columns(columns, taken=utc_now())


def _draw_tcb(draw: random.Random) -> PckTcb:
    svns = bytes(draw.randrange(_MOST_SVN) for _ in range(SVNS))
    return PckTcb(svns, draw.randrange(*_PCESVNS))


def _add_documents(store: Path, intel: Intel, draw: random.Random) -> None:
    now = utc_now()
    issued = now - timedelta(days=1)
    files = []
    for number in _NUMBERS:
        for fmspc in _FMSPCS:
            files += [
                intel.tcb_info(
                    fmspc=fmspc.hex().upper(),
                    tee=tee,
                    number=number,
                    issued=issued,
                    changes={
                        "tcbLevels": _draw_levels(draw, tee),
                        "tdxModuleIdentities": None,
                    },
                )
                for tee in Tee
            ]
        files += [
            intel.identity(kind=kind, number=number, issued=issued)
            for kind in (EnclaveKind.QE, EnclaveKind.TD_QE)
        ]
    named = [(f"{i}", body) for i, body in enumerate(files)]
    with Ledger(store, intel.anchors) as ledger:
        for result in ingest(named, ledger=ledger, now=now):
            if result.outcome is Outcome.REFUSED:
                raise RuntimeError(result)


def _draw_levels(draw: random.Random, tee: Tee) -> list[dict[str, object]]:
    floors = {(bytes(SVNS), 0): bytes(SVNS)}
    while len(floors) < _LEVELS:
        floor = _draw_floor(draw), draw.randrange(*_PCESVNS)
        floors[floor] = _draw_floor(draw)
    return [
        _level(draw, tee, sgx, pcesvn, tdx)
        for (sgx, pcesvn), tdx in floors.items()
    ]


def _draw_floor(draw: random.Random) -> bytes:
    # Few components are asked for much: else nobody would reach a level.
    return bytes(
        draw.randrange(1, _MOST_SVN) if draw.random() < 1 / 8 else 1
        for _ in range(SVNS)
    )


def _level(
    draw: random.Random, tee: Tee, sgx: bytes, pcesvn: int, tdx: bytes
) -> dict[str, object]:
    tcb: dict[str, object] = {
        "sgxtcbcomponents": [{"svn": svn} for svn in sgx],
        "pcesvn": pcesvn,
    }
    if tee is Tee.TDX:
        tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in tdx]
    status = draw.choice(_STATUSES) if pcesvn else "OutOfDate"
    return {"tcb": tcb, "tcbDate": _DATE, "tcbStatus": status}


def _tell(store: Path, draw: random.Random) -> None:
    """Put TDX SVNs of a third of the platforms into *store*."""
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        platforms = db.execute(
            "SELECT qe_id, pce_id, fmspc FROM platforms WHERE id % 3 = 0"
        ).fetchall()
        rows = (
            (
                *platform,
                bytes([draw.randrange(8), 0]) + draw.randbytes(SVNS - 2),
                draw.randrange(1, 9),
                draw.randrange(1, 9),
            )
            for platform in platforms
        )
        db.executemany(_TELL, rows)
