"""
An empty store on the disk, and both ends of it.
"""

from pathlib import Path

import pytest

from tests.store.made import ANCHORS
from thim.store.create import create_store
from thim.store.ledger import Ledger
from thim.store.replica import Replica


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """
    The file of an empty store.
    """
    path = tmp_path / "thim.db"
    create_store(path, ANCHORS)
    return path


@pytest.fixture
def ledger(store):
    """
    The store, opened for writing.
    """
    with Ledger(store, ANCHORS) as opened:
        yield opened


@pytest.fixture
def replica(store):
    """
    The store, opened for reading.
    """
    opened = Replica(store)
    yield opened
    opened.close()
