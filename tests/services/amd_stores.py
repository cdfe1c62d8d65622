"""
Fixtures of a store for our own AMD.
"""

import pytest

from tests.made_amd import AMD
from tests.stores import ledger, replica, store
from thim.store.endorsement_view import EndorsementView
from thim.store.watch import Watch


__all__ = ["anchors", "keys", "ledger", "replica", "store", "watch"]


@pytest.fixture
def anchors():
    """
    The trust anchors of the store.
    """
    return AMD.anchors


@pytest.fixture
def keys(replica):
    """
    The endorsement keys that are served.
    """
    return EndorsementView(replica)


@pytest.fixture
def watch(replica):
    """
    What was refused and counted.
    """
    return Watch(replica)
