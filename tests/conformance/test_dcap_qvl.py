"""
dcap-qvl's own client fetches from the service, and its verdicts stand.

The client is used as it is installed: `get_collateral` asks over HTTP for the
PCK CRL (DER), the TCB info, the QE identity (`update=standard`) and the root
CRL (hexadecimal text), `verify` judges at the manifest's instant.
"""

import asyncio
import json

import dcap_qvl
import pytest

from tests.conformance.corpus import Corpus, instant
from tests.conftest import corpus_root


#: The manifest pairs TCB info 19 with identity 17 for these; one set of one
#: number has an identity of 19 only, and that one is past its nextUpdate.
MIXED = "90806F000000"


def cases():
    """
    Every verdict with a status that the manifest has of a visible quote.
    """
    root = corpus_root()
    if not root.is_dir():
        return []
    documents = Corpus.read(root)
    quotes = documents.of("quote-sgx-v3", "quote-tdx-v4", "quote-tdx-v5")
    return [
        pytest.param(quote, verdict, id=f"{quote['sha256'][:8]}-{i}")
        for quote in quotes
        for i, verdict in enumerate(quote.get("verdicts", []))
        if verdict.get("status")
    ]


def newest(documents, name, at):
    """
    The newest document of the same subject, layout and number as *name* that
    was issued by *at*.
    """
    this = documents.entries[name]
    same = ("kind", "tee", "id", "version", "tcb_evaluation_data_number")
    rivals = [
        entry
        for entry in documents.of(this["kind"])
        if all(entry.get(k) == this.get(k) for k in same)
        and entry.get("fmspc", "").upper() == this.get("fmspc", "").upper()
        and instant(entry["valid_from"]) <= instant(at)
    ]
    return max(rivals, key=lambda e: instant(e["valid_from"]))["name"]


async def fetch(url, raw):
    """
    Let the client fetch what it needs for the quote *raw*.
    """
    return await dcap_qvl.get_collateral(url, raw)


def inner(documents, name, member):
    """
    The signed member of a document of the corpus.
    """
    return json.loads(documents.bytes(name))[member]


def test_all_95_quotes_are_here(corpus):
    """
    The cases below are made from 95 quotes, as many as have a verdict.
    """
    assert 95 == len({case.values[0]["name"] for case in cases()})


@pytest.mark.parametrize(("quote", "verdict"), cases())
def test_verdict(served, vendor_documents, quote, verdict):
    """
    With the collateral that the client fetched under the number and instant
    of the verdict, the client's own verification gives the manifest's status.
    """
    documents = vendor_documents
    raw = documents.bytes(quote["name"])
    tcb_info = documents.entries[verdict["tcb_info"]]
    number = tcb_info["tcb_evaluation_data_number"]
    at = verdict["now"]

    fetched = asyncio.run(fetch(f"{served.url}/baseline/{number}/at/{at}", raw))

    expected_info = newest(documents, verdict["tcb_info"], at)
    assert inner(documents, expected_info, "tcbInfo") == json.loads(
        fetched.tcb_info
    )
    assert (
        number == (json.loads(fetched.qe_identity)["tcbEvaluationDataNumber"])
    )
    if quote["fmspc"] == MIXED and not verdict["eval_numbers_match"]:
        with pytest.raises(ValueError, match="QE Identity expired"):
            dcap_qvl.verify(raw, fetched, verdict["now_unix"])
    else:
        verified = dcap_qvl.verify(raw, fetched, verdict["now_unix"])
        assert verdict["status"] == verified.status
