"""
Which real quotes are accepted by which baseline: FMSPC 00906ED50000, by the
documents of five evaluation numbers.
"""

import contextlib
import datetime

import pytest

from tests.conformance.corpus import Corpus
from tests.conftest import corpus_root
from thim.attestation.appraisal import OF_TCB, Refusal, appraise
from thim.baseline.provider import ExpiredRule, Provider
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.verification import Ask, EvidenceDesk, look_at
from thim.store.replica import Replica


#: At this instant the documents of 17 and 19 were valid and signed, those of
#: 10, 12 and 15 archived, and the revocation lists had not ended.
AT = datetime.datetime(2025, 6, 20, tzinfo=datetime.UTC)
NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
NUMBERS = (10, 12, 15, 17, 19)
SIGNED = {17, 19}
#: By the first two SVNs of the CPU and that of the PCE: the numbers by which a
#: platform lacks hardening only.  By all others it is out of date.
ACCEPTED_BY = {
    (0x11, 0x11, 10): {10},
    (0x11, 0x11, 11): {10, 12},
    (0x14, 0x14, 13): {10, 12, 15},
    (0x0F, 0x0F, 10): set(),
    (0x0E, 0x0E, 10): set(),
}
#: How many quotes there are of each.
COUNTS = {
    (0x11, 0x11, 10): 5,
    (0x11, 0x11, 11): 2,
    (0x14, 0x14, 13): 6,
    (0x0F, 0x0F, 10): 13,
    (0x0E, 0x0E, 10): 9,
}
#: The SDK's test quote, for which there are real tokens.
SDK = "attestation/sgx-2021/quote.bin"


def quotes():
    """
    Name the quotes of that FMSPC.
    """
    if not corpus_root().is_dir():
        return []
    entries = Corpus.read(corpus_root()).of("quote-sgx-v3")
    names = [e["name"] for e in entries if e["fmspc"] == "00906ED50000"]
    return [*names, SDK]


QUOTES = quotes()


@pytest.fixture(scope="module")
def desk(corpus_store):
    """
    The desk over a store with every genuine document.
    """
    with contextlib.closing(Replica(corpus_store)) as replica:
        yield EvidenceDesk(replica, VENDOR_ROOTS)


@pytest.fixture
def judge(desk, vendor_documents):
    """
    Verify a quote by a number, and appraise it.
    """

    def judge(name, number, provider=None):
        evidence = look_at(vendor_documents.bytes(name))
        ask = Ask(number=number, at=AT, now=NOW)
        found = desk.verify_quote(evidence, ask)
        withdrawn = found.answers[0].choice.is_withdrawn
        appraisal = appraise(
            found.verdict, provider or Provider(), is_withdrawn=withdrawn
        )
        return found.verdict, withdrawn, appraisal

    return judge


def row_of(verdict):
    """
    Return the row that a quote belongs to.
    """
    pck = verdict.tcb.pck
    return (*pck.components[:2], pck.pcesvn)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", QUOTES)
def test_matrix(judge, name, number):
    """
    By each number a quote is accepted or refused as Azure does it, and what
    had ended and decided is told.
    """
    verdict, withdrawn, appraisal = judge(name, number)
    assert (number not in SIGNED) == withdrawn
    accepted_by = ACCEPTED_BY.get(row_of(verdict))
    if accepted_by is not None:
        assert (number in accepted_by) == appraisal.is_accepted
    if appraisal.is_accepted:
        ended = () if number in SIGNED else ("tcb-info", "identity")
        assert ended == appraisal.accepted_expired
        assert "SWHardeningNeeded" == verdict.tcb_status.value
        return
    assert "OutOfDate" == verdict.tcb_status.value
    assert (Refusal.TCB, OF_TCB) == (
        appraisal.rejection.kind,
        appraisal.rejection.sentence,
    )
    assert appraisal.rejection.findings


def test_rows(judge):
    """
    Each row of the matrix has quotes.
    """
    rows = [row_of(judge(name, 19)[0]) for name in QUOTES]
    assert COUNTS == {row: rows.count(row) for row in COUNTS}


@pytest.mark.parametrize("number", [10, 12, 15])
def test_refuse(judge, number):
    """
    A provider that lets nothing expired decide refuses all by a number that is
    archived: no retry helps.
    """
    provider = Provider(expired=ExpiredRule.REFUSE)
    _, _, appraisal = judge(SDK, number, provider)
    assert Refusal.COLLATERAL is appraisal.rejection.kind
