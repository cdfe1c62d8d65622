"""
Fixtures of a new store on the disk and both ends of it, for the conftests:
they say by ``anchors`` whose store it is.
"""

from pathlib import Path

import pytest

from tests.new_store import new_store
from thim.store.ledger import Ledger
from thim.store.pck import PckReader
from thim.store.replica import Replica


@pytest.fixture
def store(anchors, tmp_path: Path) -> Path:
    """
    The file of an empty store.
    """
    path = tmp_path / "thim.db"
    new_store(path, anchors)
    return path


@pytest.fixture
def ledger(store, anchors):
    """
    The store, opened for writing.
    """
    with Ledger(store, anchors) as opened:
        yield opened


@pytest.fixture
def replica(store):
    """
    The store, opened for reading.
    """
    opened = Replica(store)
    yield opened
    opened.close()


@pytest.fixture
def reader(replica):
    """
    Its platforms.
    """
    return PckReader(replica)
