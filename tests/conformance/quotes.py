"""
The corpus's quotes, and the documents that each can be verified with.
"""

from __future__ import annotations

import datetime
import functools

from tests.conformance.corpus import Corpus, Entry, instant
from tests.conftest import corpus_root
from thim.intel.authorities import INTEL_SGX_ROOT
from thim.intel.quote import Quote
from thim.intel.quote_collateral import Collateral, Documents
from thim.intel.signed import SignedJson
from thim.intel.tcb_info import TcbInfo
from thim.intel.tcb_table import TcbTable
from thim.intel.verify import QuoteVerifier, refute


KINDS = ("quote-sgx-v3", "quote-tdx-v4", "quote-tdx-v5")
ROOT = "intel/ca/root-ca-20180521-20491231.pem"
#: The PCK CAs, as the manifest calls them and as their certificates do.
CAS = {
    "processor": "Intel SGX PCK Processor CA",
    "platform": "Intel SGX PCK Platform CA",
}
#: What names the documents in a row of verdicts.
NAMES = (
    "tcb_info",
    "tcb_info_issuer",
    "qe_identity",
    "qe_identity_issuer",
    "pck_crl",
    "root_ca_crl",
)


@functools.cache
def library() -> Corpus:
    """
    Read the corpus; without one it is empty, and tests are skipped.
    """
    root = corpus_root()
    if not (root / "manifest.json").is_file():
        return Corpus(root, {})
    return Corpus.read(root)


def entries(*kinds: str) -> list[Entry]:
    """
    Return the entries of *kinds*, the quotes unless told otherwise.
    """
    return library().of(*(kinds or KINDS))


def find(digest: str) -> Entry:
    """
    Return the one quote whose name ends in *digest*.
    """
    (entry,) = [e for e in entries() if e["name"].endswith(f"{digest}.bin")]
    return entry


@functools.cache
def read(name: str) -> Quote:
    """
    Read a quote of the corpus.
    """
    return Quote(library().bytes(name))


@functools.cache
def verifier(names: tuple[str, ...]) -> QuoteVerifier:
    """
    Return the verifier with these documents, in the order of NAMES; several
    tests share it.
    """
    tcb_info, signer, identity, other, pck_crl, root_crl = map(
        library().bytes, names
    )
    root = library().bytes(ROOT)
    documents = Documents(
        tcb_info=tcb_info,
        tcb_info_chain=signer + root,
        identity=identity,
        identity_chain=other + root,
        pck_crl=pck_crl,
        root_ca_crl=root_crl,
    )
    collateral = Collateral.from_documents(documents, anchors=INTEL_SGX_ROOT)
    return QuoteVerifier(collateral, anchors=INTEL_SGX_ROOT)


def judge(name, row):
    """
    Verify a quote as of a row of the manifest's verdicts.
    """
    names = tuple(row[each] for each in NAMES)
    return verifier(names).verify(read(name), instant(row["now"]))


def documents_for(
    tee: str,
    fmspc: str,
    ca: str,
    since: datetime.datetime,
    until: datetime.datetime,
) -> tuple[tuple[str, ...], datetime.datetime] | None:
    """
    Return the newest documents for a platform that were issued before its PCK
    certificate's end, and an instant from which on all of them count; None
    without a TCB info for it.
    """

    def newest(kind: str, **like: str) -> Entry | None:
        found = [
            e
            for e in entries(kind)
            if all(e[k].upper() == v.upper() for k, v in like.items())
            and instant(e["valid_from"]) <= until
            and (kind != "intel-tcb-info" or e["version"] > 1)
        ]
        return max(found, key=lambda e: instant(e["valid_from"]), default=None)

    identity = "QE" if tee == "SGX" else "TD_QE"
    chosen = (
        newest("intel-tcb-info", tee=tee, fmspc=fmspc),
        newest("intel-enclave-identity", id=identity),
        newest("intel-crl", issuer=CAS[ca]),
        newest("intel-crl", issuer="Intel SGX Root CA"),
    )
    found = [e for e in chosen if e is not None]
    if len(found) < len(chosen):
        return None
    names = [
        e[member] for e in found for member in ("name", "signer") if member in e
    ]
    return tuple(names), max(since, *(instant(e["valid_from"]) for e in found))


@functools.cache
def tcb_info(name: str) -> tuple[TcbInfo, TcbTable]:
    """
    Read a TCB info of the corpus; whether it is genuine is not asked here.
    """
    signed = SignedJson.from_json(library().bytes(name)).signed
    found = TcbInfo.from_json(signed)
    return found, TcbTable(found.levels)


def refuse(quote, at, chain=None):
    """
    Say what is wrong with *quote*, without collateral.
    """
    pem = quote.certification_data if chain is None else chain
    finding = refute(quote, at, pem, INTEL_SGX_ROOT)
    return finding and (finding.step, finding.reason)
