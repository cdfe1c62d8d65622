"""
A ledger of PostgreSQL, and a replica of it, for each test.
"""

import pytest

from tests.nodes.node import learn
from tests.services.made import INTEL
from thim.store.founding import make_ledger, provide_replica
from thim.store.postgresql import engine_at


@pytest.fixture
def address(server):
    """
    A new ledger at the *server* of the module.
    """
    made = server.new_database()
    make_ledger(made, INTEL.anchors)
    yield made
    engine_at(made).dispose()


@pytest.fixture
def store(address, tmp_path):
    """
    A replica of it, which knows a document.
    """
    path = tmp_path / "thim.db"
    provide_replica(path, address)
    learn(path)
    return path
