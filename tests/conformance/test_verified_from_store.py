"""
The corpus's quotes and reports, verified with a store that holds all its
documents, as `thim verify` does it.
"""

import contextlib
import datetime

import pytest

from tests.conformance.corpus import Corpus, instant
from tests.conftest import corpus_root
from thim.amd.authorities import KeyKind
from thim.collateral.anchors import VENDOR_ROOTS
from thim.errors import NotFoundError
from thim.services.snp_verification import SnpVerdict
from thim.services.verification import (
    Ask,
    EvidenceDesk,
    NoEvidence,
    QuoteVerdict,
    look_at,
)
from thim.store.replica import Replica


LATER = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
YEAR = datetime.timedelta(days=365)
#: The manifest pairs TCB info 19 with identity 17 for these; of one number
#: there is an identity only that is past its nextUpdate.
MIXED = "90806F000000"
REPORTS = ("snp-report-v2", "snp-report-v3", "snp-report-v5")


def quotes():
    """
    Every quote of the corpus that has a verdict with a status.
    """
    if not corpus_root().is_dir():
        return []
    documents = Corpus.read(corpus_root())
    kinds = ("quote-sgx-v3", "quote-tdx-v4", "quote-tdx-v5")
    return [
        pytest.param(entry, id=entry["sha256"][:8])
        for entry in documents.of(*kinds)
        if any(row.get("status") for row in entry["verdicts"])
    ]


@pytest.fixture(scope="module")
def desk(corpus_store):
    """
    The desk over a store with every genuine document.
    """
    with contextlib.closing(Replica(corpus_store)) as replica:
        yield EvidenceDesk(replica, VENDOR_ROOTS)


def test_95_quotes_have_a_verdict(corpus):
    """
    The cases below are made from 95 quotes.
    """
    assert 95 == len(quotes())


@pytest.mark.parametrize("entry", quotes())
def test_quote(desk, vendor_documents, entry):
    """
    Under the number and at the instant of each of its verdicts a quote gets
    the manifest's status, by one set of one number.
    """
    raw = vendor_documents.bytes(entry["name"])
    for row in entry["verdicts"]:
        if not row.get("status"):
            continue
        at = instant(row["now"])
        info = vendor_documents.entries[row["tcb_info"]]
        number = info["tcb_evaluation_data_number"]

        found = desk.verify(look_at(raw), Ask(number=number, at=at, now=LATER))

        assert isinstance(found, QuoteVerdict)
        verdict = found.verdict
        assert verdict.tcb_status is not None
        assert row["status"] == verdict.tcb_status.value
        assert {number} == {
            used.evaluation_number for used in verdict.expired
        } | {number}
        is_mixed = entry["fmspc"] == MIXED and not row["eval_numbers_match"]
        assert is_mixed == bool(verdict.expired)


def test_reports(desk, vendor_documents):
    """
    Of the 51 SNP reports all are authentic, those by VLEKs, which live for a
    year, at an instant of that year.
    """
    for entry in vendor_documents.of(*REPORTS):
        raw = vendor_documents.bytes(entry["name"])
        found = desk.verify(look_at(raw), Ask(now=LATER))
        assert isinstance(found, SnpVerdict)
        if found.leaf.kind is KeyKind.VLEK:
            ask = Ask(at=found.leaf.not_before + YEAR / 2, now=LATER)
            found = desk.verify(look_at(raw), ask)
        assert isinstance(found, SnpVerdict)
        assert found.verdict.is_authentic


def test_vleks_of_others(desk, vendor_documents):
    """
    A report by a VLEK that has ended is refused for that, and not because
    another provider's VLEK of the same TCB did not sign it.
    """
    reasons = set()
    for entry in vendor_documents.of(*REPORTS):
        evidence = look_at(vendor_documents.bytes(entry["name"]))
        found = desk.verify(evidence, Ask(now=LATER))
        if found.leaf.kind is KeyKind.VLEK:
            reasons |= {f.reason for f in found.verdict.findings}

    assert {"leaf-expired"} == reasons


def test_51_reports(vendor_documents):
    """
    There are 51 of them.
    """
    assert 51 == len(vendor_documents.of(*REPORTS))


def test_hcl_reports(desk, vendor_documents):
    """
    Of the HCL reports those of SNP are authentic but for the one whose VCEK is
    not there; those of TDX only their own CPU could verify.
    """
    became = {"authentic": 0, "missing": 0, "not-remote": 0}
    for entry in vendor_documents.of("azure-hcl-report"):
        evidence = look_at(vendor_documents.bytes(entry["name"]))
        if isinstance(evidence, NoEvidence):
            became[evidence.finding.reason] += 1
            continue
        assert "hcl-report" == evidence.envelope
        try:
            found = desk.verify(evidence, Ask(now=LATER))
        except NotFoundError:
            became["missing"] += 1
            continue
        assert found.verdict.is_authentic
        became["authentic"] += 1

    assert {"authentic": 7, "missing": 1, "not-remote": 8} == became
