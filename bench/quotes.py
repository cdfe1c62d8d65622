"""
Verifying quotes, beside dcap-qvl on the same quotes and collateral.

The quotes are the TDX quotes of the corpus, each with the documents and the
instant that the manifest names.  dcap-qvl keeps nothing between two quotes;
thim keeps verified collateral and PCK chains and, where it is told so, the
attestation keys.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import statistics
import time

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dcap_qvl

from bench.cached_get import Bench
from bench.report import Gate, at_least
from thim.intel.authorities import INTEL_SGX_ROOT
from thim.intel.quote import Quote
from thim.intel.quote_collateral import Collateral, Documents
from thim.intel.signed import SignedJson
from thim.intel.verify import Memory, QuoteVerifier


_CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
_ROOT = "intel/ca/root-ca-20180521-20491231.pem"
_CA = "intel/ca/pck-platform-ca-20180521-20330521.pem"
#: So many quotes, spread over all that there are.
_QUOTES = 48
_ROUNDS = 40
_THREADS = 2
#: Half a second of work for one thread, so that starting it is nothing.
_THREAD_ROUNDS = 120


@dataclasses.dataclass(frozen=True, slots=True)
class _Case:
    """
    A quote, and what each side verifies it with.
    """

    raw: bytes
    now: datetime.datetime
    known: QuoteVerifier
    new: QuoteVerifier
    theirs: Any

    def verify_known(self) -> None:
        """
        Verify with the attestation key kept.
        """
        self.known.verify(Quote(self.raw), self.now)

    def verify_new(self) -> None:
        """
        Verify with an attestation key never seen.
        """
        self.new.verify(Quote(self.raw), self.now)

    def verify_theirs(self) -> None:
        """
        Verify with dcap-qvl.
        """
        dcap_qvl.verify(self.raw, self.theirs, int(self.now.timestamp()))


def quotes(bench: Bench) -> Iterator[Gate]:
    """
    Measure the CPU that a quote costs, and what a second thread brings.
    """
    root = Path(os.environ.get("THIM_CORPUS") or _CORPUS)
    if not (root / "manifest.json").is_file():
        print(f"quotes: left out, there is no corpus at {root}")
        return
    cases = list(_read_cases(root))
    pairs = [_measure(cases) for _ in range(bench.pairs)]
    new, known = (
        statistics.median(theirs / ours[i] for theirs, *ours in pairs)
        for i in range(2)
    )
    theirs, ours_new, ours_known = map(
        statistics.median, zip(*pairs, strict=True)
    )
    print(
        f"quote: dcap-qvl {theirs:.0f} us, ours {ours_new:.0f} us with a new "
        f"attestation key, {ours_known:.0f} us with a known one"
    )
    yield at_least("quote, new attestation key / dcap-qvl", new, 4.5)
    yield at_least("quote, known attestation key / dcap-qvl", known, 7)
    speed_up = statistics.median(_speed_up(cases) for _ in range(bench.pairs))
    yield at_least("quotes on two threads / on one", speed_up, 1.8)


def _measure(cases: Iterable[_Case]) -> tuple[float, float, float]:
    """
    Return microseconds of CPU for one quote: theirs, ours new, ours known.
    """
    spent = [0.0, 0.0, 0.0]
    count = 0
    for case in cases:
        sides = case.verify_theirs, case.verify_new, case.verify_known
        for i, verify in enumerate(sides):
            spent[i] += _time(verify)
        count += 1
    theirs, new, known = (1e6 * each / count for each in spent)
    return theirs, new, known


def _time(verify: Callable[[], None]) -> float:
    verify()
    begin = time.process_time()
    for _ in range(_ROUNDS):
        verify()
    return (time.process_time() - begin) / _ROUNDS


def _speed_up(cases: list[_Case]) -> float:
    """
    Return how much faster two threads are than one.
    """
    one, two = (_rate(cases, threads) for threads in (1, _THREADS))
    return two / one


def _rate(cases: list[_Case], threads: int) -> float:
    def run(number: int) -> None:
        for case in cases[number::threads]:
            for _ in range(_THREAD_ROUNDS):
                case.verify_known()

    with ThreadPoolExecutor(threads) as executor:
        begin = time.perf_counter()
        list(executor.map(run, range(threads)))
        return 1 / (time.perf_counter() - begin)


def _read_cases(root: Path) -> Iterator[_Case]:
    manifest = json.loads((root / "manifest.json").read_text())
    rows = [
        (entry, row)
        for entry in manifest["entries"]
        if entry["kind"] in {"quote-tdx-v4", "quote-tdx-v5"}
        for row in entry["verdicts"]
        if row.get("status")
    ]
    for entry, row in rows[:: max(1, len(rows) // _QUOTES)]:
        yield _read_case(root, entry, row)


def _read_case(root: Path, entry: dict[str, Any], row: dict[str, Any]) -> _Case:
    def read(name: str) -> bytes:
        return (root / name).read_bytes()

    documents = Documents(
        tcb_info=read(row["tcb_info"]),
        tcb_info_chain=read(row["tcb_info_issuer"]) + read(_ROOT),
        identity=read(row["qe_identity"]),
        identity_chain=read(row["qe_identity_issuer"]) + read(_ROOT),
        pck_crl=read(row["pck_crl"]),
        root_ca_crl=read(row["root_ca_crl"]),
    )
    collateral = Collateral.from_documents(documents, anchors=INTEL_SGX_ROOT)
    return _Case(
        raw=read(entry["name"]),
        now=datetime.datetime.fromisoformat(row["now"]),
        known=QuoteVerifier(collateral, anchors=INTEL_SGX_ROOT),
        new=QuoteVerifier(
            collateral, anchors=INTEL_SGX_ROOT, memory=Memory(keys=0)
        ),
        theirs=_theirs(documents, (read(_CA) + read(_ROOT)).decode()),
    )


def _theirs(documents: Documents, pck_crl_chain: str) -> Any:  # noqa: ANN401
    tcb_info = SignedJson.from_json(documents.tcb_info)
    identity = SignedJson.from_json(documents.identity)
    return dcap_qvl.QuoteCollateralV3(
        pck_crl_chain,
        documents.root_ca_crl,
        documents.pck_crl,
        documents.tcb_info_chain.decode(),
        tcb_info.signed.decode(),
        tcb_info.signature,
        documents.identity_chain.decode(),
        identity.signed.decode(),
        identity.signature,
    )
