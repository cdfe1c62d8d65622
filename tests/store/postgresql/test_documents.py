"""
The archive in PostgreSQL: heads, channels, quarantine, two writers.
"""

from tests.store.test_concurrency import TestTwoWriters
from tests.store.test_ledger import TestAdd, TestChannels
from tests.store.test_quarantine import TestQuarantine


__all__ = ["TestAdd", "TestChannels", "TestQuarantine", "TestTwoWriters"]
