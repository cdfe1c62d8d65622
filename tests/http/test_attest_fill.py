"""
What evidence is verified with is fetched while its sender waits.
"""

import contextlib

from datetime import timedelta

import pytest

from tests.amd_vendor import amd_settings
from tests.http.attested_world import equip
from tests.http.attesting import URL, Attested, b64, error_in, message_in
from tests.http.test_attest_bad import OF_COLLATERAL, OF_DOCUMENTS, changed
from tests.new_store import new_store
from tests.vendors import (
    MINUTE,
    await_quiet,
    await_so,
    facing,
    standing,
    vendor_settings,
)
from thim.services.vendors import FillMode
from thim.simulate.broken import Status
from thim.simulate.pck import Platform
from thim.simulate.pki import Intel
from thim.simulate.quote import make_sgx_quote_v3
from thim.simulate.server import simulating


@pytest.fixture
def vendor():
    """
    A vendor of a test's own.
    """
    with simulating(clock=standing()) as running:
        running.amd.limiter.is_on = False
        yield running


@contextlib.contextmanager
def asking(vendor, folder, vendors=None):
    """
    Serve a store that is empty but for the key that signs tokens.
    """
    store = folder / "thim.db"
    new_store(store, vendor.anchors)
    equip(vendor, store)
    with facing(
        vendor,
        store,
        vendors or amd_settings(vendor),
        attestation_url=URL,
        key_file=store.with_name("thim.key"),
    ) as served:
        yield Attested(vendor, served, store, vendor.clock)


@pytest.fixture
def empty(vendor, tmp_path):
    """
    Such a service.
    """
    with asking(vendor, tmp_path) as running:
        yield running


def asked_before(empty):
    """
    Return how often the vendor was asked of the service's own accord, which it
    does as soon as it starts.
    """
    await_quiet(empty.store, empty.vendor, amd_settings(empty.vendor))
    return asked(empty.vendor)


def asked(vendor):
    """
    Return how often the vendor was asked.
    """
    return len(vendor.requests)


class TestFill:
    @pytest.mark.parametrize(
        ("machine", "tee"), [("ice-1", "sgx"), ("sapphire-1", "tdx")]
    )
    def test_quote(self, empty, machine, tee):
        """
        The first quote that comes is attested; for the next one nothing is
        fetched.
        """
        kind = "sgx-v3" if tee == "sgx" else "tdx-v4"
        quote = empty.quote(machine, kind)
        send = getattr(empty, tee)

        claims = empty.claims(send(quote))
        assert 4 == len(claims["x-thim-documents"])
        assert (
            claims["x-thim-documents"]
            == (empty.claims(send(quote))["x-thim-documents"])
        )

    def test_report(self, empty):
        """
        So is a report whose key nobody sent.
        """
        report = empty.vendor.report("milan-1")
        got = empty.post("SevSnpVm", {"report": b64(report)})

        assert "Milan" == empty.claims(got)["x-thim-product"]

    def test_old_machine(self, empty):
        """
        One that is below the baseline is refused as that, by what was fetched
        for it.
        """
        got = empty.sgx(empty.quote("ice-2"))

        assert (400, "InvalidParameter", "component-behind") == error_in(got)


class TestNothing:
    def test_unknown_fmspc(self, empty):
        """
        A platform that the vendor does not know is refused for good, in
        Azure's words.
        """
        pki = empty.vendor.intel.pki
        machine = Platform(fmspc=bytes.fromhex("00a065210000"))
        got = empty.sgx(make_sgx_quote_v3(pki, machine))

        assert (400, "InvalidParameter") == error_in(got)[:2]
        assert OF_DOCUMENTS == message_in(got)
        (record,) = empty.await_decisions(1)
        assert record.result.startswith("refused: ")

    def test_newer_machine(self, empty):
        """
        So is one that the chosen number does not know.
        """
        got = empty.sgx(empty.quote("granite-1"))

        assert (400, "InvalidParameter") == error_in(got)[:2]
        assert OF_DOCUMENTS == message_in(got)

    def test_unknown_chip(self, empty):
        """
        So is a chip that AMD does not know.
        """
        report = empty.vendor.report("milan-1", chip_id=b"\7" * 64)
        got = empty.post("SevSnpVm", {"report": b64(report)})

        assert (400, "InvalidParameter", "unknown-vcek") == error_in(got)
        assert OF_COLLATERAL == message_in(got)

    def test_forged(self, empty):
        """
        For what is forged nobody is asked.
        """
        before = asked_before(empty)
        got = empty.sgx(changed(empty.quote(), 48 + 64))

        assert (400, "InvalidQuote", "quote-signature") == error_in(got)
        assert before == asked(empty.vendor)

    def test_foreign(self, empty):
        """
        Nor for machines of another root.
        """
        before = asked_before(empty)
        got = empty.sgx(make_sgx_quote_v3(Intel("stranger"), Platform()))

        assert (400, "InvalidParameter", "root-untrusted") == error_in(got)
        assert before == asked(empty.vendor)


class TestTrouble:
    @pytest.mark.parametrize("tee", ["sgx", "snp"])
    def test_silent(self, vendor, tmp_path, tee):
        """
        A vendor that is silent is our trouble, and may pass: then all is well.
        """
        # The longer it is waited for, the longer it is left alone then.
        settings = amd_settings(vendor, wait=timedelta(seconds=2.5))
        with asking(vendor, tmp_path, settings) as running:
            vendor.stop_listening()
            got = send(running, tee)
            assert (503, "ServiceUnavailable") == error_in(got)[:2]
            assert int(got["retry-after"]) > 0
            assert [] == running.decisions()

            vendor.listen_again()
            await_so(lambda: send_later(running, tee), "attested")

    def test_broken(self, empty):
        """
        So is one that is out of order.
        """
        empty.vendor.faults.add(Status(code=500))
        got = empty.sgx()

        assert (503, "ServiceUnavailable") == error_in(got)[:2]

    def test_offline(self, vendor, tmp_path):
        """
        Where no vendor may be asked, and nothing was imported, that is our
        trouble as well.
        """
        settings = vendor_settings(vendor, mode=FillMode.OFFLINE)
        before = asked(vendor)
        with asking(vendor, tmp_path, settings) as offline:
            got = offline.sgx()

        assert (503, "ServiceUnavailable", "empty-archive") == error_in(got)
        assert before == asked(vendor)

    def test_partly(self, vendor, tmp_path):
        """
        A revocation list that is missing is never held against the evidence.
        """
        with asking(vendor, tmp_path) as running:
            running.vendor.faults.add(Status(route="pckcrl", code=404))
            got = running.sgx()

        assert (503, "ServiceUnavailable") == error_in(got)[:2]
        assert "pck-crl" in got.json["error"]["innererror"]["message"]


def send_later(attested, tee):
    """
    Come again a minute later; tell whether there is a token then.
    """
    attested.vendor.clock.advance(MINUTE)
    return send(attested, tee).status == 200


def send(attested, tee):
    """
    Send a quote or a report.
    """
    if tee == "sgx":
        return attested.sgx()
    report = attested.vendor.report("milan-1")
    return attested.post("SevSnpVm", {"report": b64(report)})
