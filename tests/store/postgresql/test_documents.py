"""
The archive in PostgreSQL: heads, channels, quarantine, two writers.
"""

from tests.store import test_ledger
from tests.store.test_concurrency import TestTwoWriters
from tests.store.test_ledger import TestChannels
from tests.store.test_quarantine import TestQuarantine


__all__ = ["TestAdd", "TestChannels", "TestQuarantine", "TestTwoWriters"]


class TestAdd(test_ledger.TestAdd):
    #: A limit on one file is none for a server.
    test_full_disk = None  # type: ignore[assignment]
