import datetime

import pytest

from cryptography.hazmat.primitives.serialization import Encoding

from tests.http.administration import administered
from tests.http.attested_world import attesting, make_world
from tests.http.attesting import ACME
from tests.new_store import new_store
from tests.serving import serving
from tests.vendors import standing
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.services.ingest import Outcome, ingest
from thim.simulate.pki import Intel
from thim.simulate.server import simulating
from thim.store.ledger import Ledger


FMSPC = "00906ED50000"
#: When the documents of the stores below are looked at, unless a test says
#: otherwise: all of them are valid then.
NOW = datetime.datetime(2026, 9, 1, 12, tzinfo=datetime.UTC)
ISSUED = datetime.datetime(2026, 8, 20, tzinfo=datetime.UTC)
EVENTS = {
    22: datetime.datetime(2026, 8, 11, tzinfo=datetime.UTC),
    20: datetime.datetime(2025, 8, 12, tzinfo=datetime.UTC),
    19: datetime.datetime(2025, 2, 11, tzinfo=datetime.UTC),
}


def make_store(path, intel, bodies):
    """
    Make a store in *path* that holds *bodies* and the authorities of *intel*.
    """
    new_store(path, intel.anchors)
    add_to_store(path, intel, bodies)
    return path


def add_to_store(path, intel, bodies):
    """
    Take *bodies* into the store in *path*.
    """
    pem = b"".join(c.public_bytes(Encoding.PEM) for c in intel.certificates)
    files = [("ca.pem", pem), *((f"{i}", b) for i, b in enumerate(bodies))]
    with Ledger(path, intel.anchors) as ledger:
        for result in ingest(files, ledger=ledger, now=NOW):
            # A CA that one of the documents revokes is refused, rightly.
            is_welcome = result.outcome is not Outcome.REFUSED
            assert is_welcome or result.reason == "revoked", result


def set_channels(path, intel, *, standard, early):
    """
    Write down what the vendor's channels point to.
    """
    with Ledger(path, intel.anchors) as ledger:
        for update, number in (
            (Update.STANDARD, standard),
            (Update.EARLY, early),
        ):
            ledger.observe_channel(update, number, source="test", seen=ISSUED)


def full_set(intel, number, issued=ISSUED):
    """
    Every document of one number, for one FMSPC.
    """
    common = {"number": number, "issued": issued}
    return [
        intel.tcb_info(fmspc=FMSPC, tee=Tee.SGX, **common),
        intel.tcb_info(fmspc=FMSPC, tee=Tee.SGX, structure=2, **common),
        intel.tcb_info(fmspc=FMSPC.lower(), tee=Tee.TDX, **common),
        *(intel.identity(kind=kind, **common) for kind in EnclaveKind),
    ]


def unnumbered(intel, issued=ISSUED):
    """
    The CRLs and lists of numbers.
    """
    return [
        intel.root_crl(issued=issued),
        *(intel.pck_crl(ca=ca, issued=issued) for ca in PckCa),
        *(intel.numbers(tee=tee, numbers=EVENTS, issued=issued) for tee in Tee),
    ]


@pytest.fixture(scope="session")
def intel():
    """
    A small Intel that signs.
    """
    return Intel()


@pytest.fixture(scope="session")
def store(intel, tmp_path_factory):
    """
    A store with three numbers of one FMSPC, channels set; only for reading.
    """
    path = tmp_path_factory.mktemp("wire") / "thim.db"
    bodies = [*unnumbered(intel)]
    for number in EVENTS:
        bodies += full_set(intel, number)
    make_store(path, intel, bodies)
    set_channels(path, intel, standard=20, early=22)
    return path


@pytest.fixture(scope="session")
def served(store, intel):
    """
    The service over that store at NOW, on a real socket.
    """
    with serving(store, lambda: NOW, anchors=intel.anchors) as running:
        yield running


@pytest.fixture
def pccs(intel, tmp_path):
    """
    A service over an empty store, with tokens for PCCS's tools.
    """
    with administered(intel, tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def attested_world(tmp_path_factory):
    """
    Vendors whose machines have evidence, and a store with all that it needs.
    """
    with simulating(clock=standing()) as vendor:
        yield make_world(vendor, tmp_path_factory.mktemp("attested"))


@pytest.fixture(scope="session")
def attested(attested_world, tmp_path_factory):
    """
    A service over such a store in which nothing is ever changed.
    """
    folder = tmp_path_factory.mktemp("attesting")
    with attesting(attested_world, folder) as running:
        yield running


@pytest.fixture
def attester(attested_world, tmp_path):
    """
    A service of a test's own over such a store.
    """
    with attesting(attested_world, tmp_path) as running:
        yield running


@pytest.fixture
def acme(attester):
    """
    A tenant's provider: set a policy, and have a quote attested by it.
    """

    def attest(text, **members):
        got = attester.set_policy(text)
        assert 200 == got.status, got.body
        return attester.sgx(prefix=ACME, **members)

    return attest
