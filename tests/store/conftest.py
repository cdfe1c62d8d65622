"""
A store for a root key that nobody has, and an Intel for those that need one.
"""

import pytest

from tests.store.made import ANCHORS
from tests.stores import ledger, reader, replica, store
from thim.simulate.pki import Intel


__all__ = ["ledger", "reader", "replica", "store"]


@pytest.fixture(scope="session")
def intel():
    """
    An Intel that issues certificates.
    """
    return Intel()


@pytest.fixture
def anchors():
    """
    The trust anchors of the store.
    """
    return ANCHORS
