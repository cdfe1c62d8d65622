"""
A store for what our own Intel signs.
"""

import pytest

from tests.services.made import INTEL
from tests.stores import ledger, reader, replica, store


__all__ = ["ledger", "reader", "replica", "store"]


@pytest.fixture
def intel():
    """
    Our own Intel.
    """
    return INTEL


@pytest.fixture
def anchors():
    """
    The trust anchors of the store.
    """
    return INTEL.anchors
