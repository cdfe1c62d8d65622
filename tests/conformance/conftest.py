import datetime

import pytest

from tests.conformance.corpus import Corpus
from tests.serving import serving
from thim.intel.authorities import INTEL_SGX_ROOT
from thim.services.ingest import ingest
from thim.store.create import create_store
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
    create_store(path, INTEL_SGX_ROOT)
    files = sorted(f for f in vendor_documents.root.rglob("*") if f.is_file())
    with Ledger(path, INTEL_SGX_ROOT) as ledger:
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
