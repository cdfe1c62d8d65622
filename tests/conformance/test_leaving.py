"""
dcap-qvl's own client fetches from what was exported for a web server.
"""

import asyncio
import contextlib
import datetime
import json

import dcap_qvl
import pytest

from tests.needs import needs_nginx
from tests.services.static_server import nginx
from thim.collateral.records import tcb_info_key
from thim.intel.names import Tee
from thim.services.collateral_export import Layout, Wish, export_collateral
from thim.store.replica import Replica


NUMBER = 19


@pytest.fixture(scope="module")
def web_server(corpus_store, tmp_path_factory):
    """
    The archive as Intel's PCS has it, at one number, served by nginx.
    """
    folder = tmp_path_factory.mktemp("left")
    wish = Wish(layout=Layout.PCS, tenant="root", baseline=str(NUMBER))
    now = datetime.datetime.now(datetime.UTC)
    export_collateral(corpus_store, wish, folder / "pcs", now)
    with nginx(folder, folder / "pcs" / "nginx.conf") as port:
        yield f"http://127.0.0.1:{port}"


def find_quote(store, documents, tee):
    """
    Find a quote of whose platform there is a TCB info of that number.
    """
    kind = {Tee.SGX: "quote-sgx-v3", Tee.TDX: "quote-tdx-v4"}[tee]
    with contextlib.closing(Replica(store)) as replica:
        for quote in documents.of(kind):
            fmspc = bytes.fromhex(quote.get("fmspc") or "00" * 6)
            held = replica.find(tcb_info_key(tee, fmspc, 3), NUMBER)
            if held is not None:
                return quote, held
    raise AssertionError


@needs_nginx
@pytest.mark.parametrize("tee", list(Tee))
def test_fetched(web_server, corpus_store, vendor_documents, tee):
    """
    It gets everything that it needs for a quote, as Intel signed it.
    """
    quote, held = find_quote(corpus_store, vendor_documents, tee)
    raw = vendor_documents.bytes(quote["name"])

    async def fetch():
        return await dcap_qvl.get_collateral(web_server, raw)

    got = asyncio.run(fetch())
    signed = json.loads(held.body)
    assert signed["tcbInfo"] == json.loads(got.tcb_info)
    assert signed["signature"] == got.tcb_info_signature.hex()
    number = json.loads(got.qe_identity)["tcbEvaluationDataNumber"]
    assert number == NUMBER
