import datetime
import functools
import os

import pytest

from tests.conformance.azure import serving_azure
from tests.conformance.corpus import Corpus
from tests.conformance.node import install, running_node
from tests.conformance.replay_calls import CALLS, CHOSEN, IN_FORCE, NEWEST
from tests.conformance.replay_machines import (
    COFFEE_LAKE,
    ICE_LAKE,
    azure_query,
    azure_secondary,
    manifest_body,
    retrieval_tool,
)
from tests.conformance.replay_programs import (
    import_structure_2,
    set_up,
    write_world,
)
from tests.new_store import new_store
from tests.serving import serving
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.ingest import ingest
from thim.store.ledger import Ledger


@pytest.fixture(scope="session")
def vendor_documents(corpus):
    """
    The corpus and its manifest.
    """
    return Corpus.read(corpus)


@pytest.fixture(scope="session")
def corpus_store(vendor_documents, tmp_path_factory):
    """
    A store that holds every genuine document of the corpus.
    """
    path = tmp_path_factory.mktemp("corpus") / "thim.db"
    new_store(path, VENDOR_ROOTS)
    files = sorted(f for f in vendor_documents.root.rglob("*") if f.is_file())
    with Ledger(path, VENDOR_ROOTS) as ledger:
        for _ in ingest(
            ((str(file), file.read_bytes()) for file in files),
            ledger=ledger,
            now=datetime.datetime.now(datetime.UTC),
        ):
            pass
    return path


@pytest.fixture(scope="session")
def served(corpus_store):
    """
    The service over that store, on a real socket.
    """
    with serving(corpus_store) as running:
        yield running


@pytest.fixture(scope="session")
def setup(tmp_path_factory):
    """
    A simulated vendor, and all that thim needs to be started in front of it.
    """
    folder = tmp_path_factory.mktemp("clients")
    with set_up(folder, write_world(folder)) as made:
        yield made


@pytest.fixture(scope="session")
def vendor(setup):
    """
    The vendor.
    """
    return setup.vendor


@pytest.fixture(scope="session")
def tokens(setup):
    """
    Tokens by role.
    """
    return {role: setup.token(role) for role in ("admin", "registrar")}


@pytest.fixture(scope="session")
def lazy(setup):
    """
    The service, which asks the vendor for what it is asked.

    TCB infos as PCS v2 and v3 had them come into its archive by hand, since
    the vendor gives none any more, when those of v4 are there.
    """
    with setup.serving() as door:
        for call in CALLS.values():
            if call.vendor.startswith("/sgx/certification/v4/tcb?"):
                door.ask(call.request)
        import_structure_2(setup, CHOSEN, IN_FORCE, NEWEST)
        yield door


@pytest.fixture(scope="session")
def answer_to(lazy):
    """
    What the service answers to a call, asked once.
    """
    return functools.cache(lambda name: lazy.ask(CALLS[name].request))


@pytest.fixture(scope="session")
def offline(setup, answer_to):
    """
    A service that asks nobody, over what has been asked for.
    """
    for name in CALLS:
        answer_to(name)
    with setup.serving(fill="offline") as door:
        yield door


@pytest.fixture(scope="session")
def registered(lazy, vendor, tokens):
    """
    The answer to the retrieval tool that has registered the machine of
    several packages, which the vendor knows by its manifest only.
    """
    manifest = vendor.machine(ICE_LAKE.name)["manifest"]
    body = manifest_body(ICE_LAKE, manifest)
    return lazy.ask(retrieval_tool(body, tokens["registrar"]))


@pytest.fixture(scope="session")
def on_demand(lazy, vendor):
    """
    The answer to Azure's client on a machine of one package, which nobody
    has registered, but which gives its encrypted PPID.
    """
    encrypted_ppid = vendor.machine(COFFEE_LAKE.name)["enc_ppid"].lower()
    query = azure_query(COFFEE_LAKE, encrypted_ppid)
    return lazy.ask(azure_secondary("v4", query))


@pytest.fixture(scope="session")
def knowing(lazy, registered, on_demand):
    """
    The service, which has met both machines.
    """
    assert (200, 200) == (registered.status, on_demand.status)
    return lazy


@pytest.fixture(scope="session")
def azure(tmp_path_factory):
    """
    The service as the clients of Azure Attestation meet it.
    """
    with serving_azure(tmp_path_factory.mktemp("azure")) as running:
        yield running


@pytest.fixture(scope="session")
def node(azure, tmp_path_factory):
    """
    The JavaScript client, installed once for all processes of the test run.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    driver = install(shared / "azure-js")
    with running_node(driver, azure.ca) as running:
        yield running
