"""
Definitions in PostgreSQL: of two who decide at once one is told.
"""

from tests.store.test_definitions import TestCompareAndSwap, TestKept


__all__ = ["TestCompareAndSwap", "TestKept"]
