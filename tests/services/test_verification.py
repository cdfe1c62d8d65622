"""
Evidence, verified with what a store holds.
"""

import contextlib
import datetime
import sqlite3

import pytest

from tests.new_store import new_store
from tests.platforms import verifier
from tests.simulate.quotes import INTEL
from thim.attestation.evidence import MAX_SIZE
from thim.collateral.platforms import Entry, PlatformId, RegisteredBy
from thim.errors import NotFoundError, UnavailableError
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.steps import Step
from thim.intel.tcb import TcbStatus
from thim.services.ingest import ingest
from thim.services.verification import (
    Ask,
    EvidenceDesk,
    NoEvidence,
    QuoteVerdict,
    find_forgery,
    look_at,
)
from thim.services.verified import account_for
from thim.simulate.pck import (
    Platform,
    issue_pck_certificate,
    pck_chain,
)
from thim.simulate.pki import ISSUED
from thim.simulate.quote import (
    make_sgx_quote_v3,
    make_tdx_quote_v4,
)
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.x509.chain import to_pem


DAY = datetime.timedelta(days=1)
NOW = ISSUED + DAY
ASK = Ask(number=17, now=NOW)
MACHINE = Platform()
SGX = make_sgx_quote_v3(INTEL, MACHINE)
TDX = make_tdx_quote_v4(INTEL, MACHINE)


def documents(**changes):
    """
    Return what Intel signs: what SGX and TDX quotes are verified with.
    """
    chain = to_pem([INTEL.signer, INTEL.root])
    machine = pck_chain(INTEL, MACHINE)
    return {
        "chain": chain,
        "ca": to_pem(machine[1:]),
        "sgx": INTEL.tcb_info(),
        "tdx": INTEL.tcb_info(tee=Tee.TDX),
        "qe": INTEL.identity(),
        "td-qe": INTEL.identity(kind=EnclaveKind.TD_QE),
        "root-crl": INTEL.root_crl(),
        "pck-crl": INTEL.pck_crl(ca=PckCa.PLATFORM),
        **changes,
    }


def take(path, found, now=NOW):
    """
    Take documents into a store.
    """
    with Ledger(path, INTEL.anchors) as ledger:
        for _ in ingest(found.items(), ledger=ledger, now=now):
            pass


@pytest.fixture
def store(tmp_path):
    """
    A store with all that is needed.
    """
    path = tmp_path / "thim.db"
    new_store(path, INTEL.anchors)
    take(path, documents())
    return path


@pytest.fixture
def desk(store):
    """
    The desk over it.
    """
    with contextlib.closing(Replica(store)) as replica:
        yield make_desk(replica)


def make_desk(replica):
    """
    Make a desk over a store.
    """
    return EvidenceDesk(replica, INTEL.anchors)


def verify(desk, raw, ask=ASK):
    """
    Verify a quote.
    """
    found = desk.verify(look_at(raw), ask)
    assert isinstance(found, QuoteVerdict)
    return found


class TestLookAt:
    def test_not_evidence(self):
        """
        What is no evidence is a finding, no error.
        """
        found = look_at(b"hello")

        assert isinstance(found, NoEvidence)
        assert (Step.LAYOUT, "not-evidence") == (
            found.finding.step,
            found.finding.reason,
        )

    def test_too_large(self):
        """
        What is larger than any evidence is refused before it is looked at.
        """
        found = look_at(SGX.ljust(MAX_SIZE + 1, b"\0"))

        assert isinstance(found, NoEvidence)
        assert "too-large" == found.finding.reason


class TestForgery:
    def test_none(self):
        """
        Nothing is found against a genuine quote.
        """
        assert find_forgery(look_at(SGX), NOW, INTEL.anchors) is None

    def test_found(self):
        """
        A changed quote is refused without any collateral.
        """
        raw = bytearray(SGX)
        raw[64] ^= 1

        found = find_forgery(look_at(bytes(raw)), NOW, INTEL.anchors)

        assert found is not None
        assert found.verdict.failure is not None
        assert Step.QUOTE_SIGNATURE is found.verdict.failure.step
        assert found.verdict.collateral is None

    def test_named(self):
        """
        Also of a quote that only names its certificate: what the attestation
        key did not sign is forged.
        """
        raw = bytearray(named())
        assert find_forgery(look_at(bytes(raw)), NOW, INTEL.anchors) is None
        raw[64] ^= 1

        found = find_forgery(look_at(bytes(raw)), NOW, INTEL.anchors)

        assert found is not None
        results = {
            step["number"]: step["result"]
            for step in account_for(found)["steps"]
        }
        assert ("not-reached", "not-reached", "ok", "failed") == (
            results[2],
            results[9],
            results[10],
            results[12],
        )


class TestQuote:
    @pytest.mark.parametrize("raw", [SGX, TDX], ids=["sgx", "tdx"])
    def test_authentic(self, desk, raw):
        """
        A quote is verified with the set of the number that was asked for.
        """
        found = verify(desk, raw)

        assert found.verdict.is_authentic
        assert TcbStatus.UP_TO_DATE is found.verdict.tcb_status
        assert "17" == found.baseline
        kinds = [a.held.key.kind.value for a in found.answers]
        assert ["tcb-info", "identity", "pck-crl", "root-ca-crl"] == kinds

    def test_chain_that_cannot_be_read(self, desk):
        """
        A chain that does not say whose it is needs no collateral to fail.
        """
        raw = make_sgx_quote_v3(INTEL, MACHINE, certification_data=b"none")

        found = verify(desk, raw)

        assert Step.PCK_CHAIN is found.verdict.failure.step
        assert () == found.answers

    def test_other_fmspc(self, desk):
        """
        Collateral that is missing is named.
        """
        raw = make_sgx_quote_v3(INTEL, Platform(fmspc=bytes(5) + b"\1"))

        with pytest.raises(NotFoundError, match="sgx:000000000001/3"):
            desk.verify(look_at(raw), ASK)

    def test_other_number(self, desk):
        """
        A number of which nothing is known is never another one.
        """
        with pytest.raises(NotFoundError, match="number 18"):
            desk.verify(look_at(SGX), Ask(number=18, now=NOW))

    def test_store_ahead_of_the_clock(self, desk):
        """
        Documents of the future say nothing against a quote: the clock or the
        store is wrong.
        """
        early = Ask(number=17, now=NOW - 2 * DAY)

        with pytest.raises(UnavailableError) as e:
            desk.verify(look_at(SGX), early)

        assert "not-yet-issued" == e.value.reason

    def test_structure_2(self, store, tmp_path):
        """
        Where only a TCB info of structure 2 is there, it decides.
        """
        path = tmp_path / "old.db"
        new_store(path, INTEL.anchors)
        take(path, documents(sgx=INTEL.tcb_info(structure=2)))
        with contextlib.closing(Replica(path)) as replica:
            found = verify(make_desk(replica), SGX)

        assert TcbStatus.SW_HARDENING_NEEDED is found.verdict.tcb_status

    def test_damaged_store(self, store):
        """
        What does not verify any more is the store's trouble, not the quote's.
        """
        with contextlib.closing(sqlite3.connect(store)) as db:
            for row, body in db.execute("SELECT id, body FROM records"):
                broken = body.replace(b"UpToDate", b"OutOfDate")
                db.execute(
                    "UPDATE records SET body = ? WHERE id = ?", (broken, row)
                )
            db.commit()
        with contextlib.closing(Replica(store)) as replica:
            desk = make_desk(replica)
            with pytest.raises(UnavailableError) as e:
                desk.verify(look_at(SGX), ASK)

        assert "store-damaged" == e.value.reason


class TestNamedCertificate:
    """
    Quotes that only name their PCK certificate.
    """

    def test_found(self, store, desk):
        """
        It is found by QE ID and TCB, and proven by the QE report.
        """
        with Ledger(store, INTEL.anchors) as ledger:
            ledger.platforms.enter([entered()], NOW)

        found = verify(desk, named())

        assert found.verdict.is_authentic
        assert TcbStatus.UP_TO_DATE is found.verdict.tcb_status

    def test_of_another_tcb(self, store, desk):
        """
        A certificate for another TCB is not the one that is named.
        """
        with Ledger(store, INTEL.anchors) as ledger:
            ledger.platforms.enter([entered()], NOW)

        with pytest.raises(NotFoundError, match="PCESVN 12") as e:
            desk.verify(look_at(named(pcesvn=12)), ASK)

        assert "unknown-pck-certificate" == e.value.reason

    def test_unknown(self, desk):
        """
        A platform that is not known has none.
        """
        with pytest.raises(NotFoundError, match="which the quote only names"):
            desk.verify(look_at(named()), ASK)


def named(pcesvn=MACHINE.pcesvn):
    """
    Make a quote that names its certificate by a PPID in clear.
    """
    ends = pcesvn.to_bytes(2, "little") + MACHINE.pce_id
    return make_sgx_quote_v3(
        INTEL,
        MACHINE,
        certification_data=MACHINE.ppid + MACHINE.cpusvn + ends,
        certification_type=1,
    )


def entered():
    """
    Return the machine as a store knows it.
    """
    made = verifier(INTEL, NOW).verify(issue_pck_certificate(INTEL, MACHINE))
    return Entry(
        id=PlatformId(MACHINE.qe_id, MACHINE.pce_id),
        registered_by=RegisteredBy.CERTIFICATES,
        certificates=(made,),
        is_complete=True,
        raw_tcbs=(),
    )


class TestMemory:
    def test_one_verifier_for_a_set(self, desk):
        """
        What was verified is kept for as long as the documents are the same.
        """
        pck = verify(desk, SGX).verdict.tcb.pck

        first, _ = desk.find_verifier(Tee.SGX, pck, ASK)
        second, _ = desk.find_verifier(Tee.SGX, pck, ASK)
        other, _ = desk.find_verifier(Tee.TDX, pck, ASK)

        assert first is second
        assert other is not first

    def test_newly_revoked(self, store, desk):
        """
        A PCK that a newer list revokes is refused at once, though it was
        kept as good.
        """
        serial = pck_chain(INTEL, MACHINE)[0].serial_number
        assert verify(desk, SGX).verdict.is_authentic
        later = NOW + DAY
        crl = INTEL.pck_crl(ca=PckCa.PLATFORM, revoked=[serial], issued=later)

        take(store, {"crl": crl}, later)
        found = verify(desk, SGX, Ask(number=17, now=later))

        assert "pck-revoked" == found.verdict.failure.reason

    def test_before_it_was_revoked(self, store, desk):
        """
        At an instant before, the list of that time decides.
        """
        serial = pck_chain(INTEL, MACHINE)[0].serial_number
        later = NOW + DAY
        crl = INTEL.pck_crl(ca=PckCa.PLATFORM, revoked=[serial], issued=later)
        take(store, {"crl": crl}, later)

        found = verify(desk, SGX, Ask(number=17, at=NOW, now=later))

        assert found.verdict.is_authentic
        assert NOW == found.verdict.now
