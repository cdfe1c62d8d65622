"""
The queue of VCEKs in PostgreSQL: its order is the replica's, too.
"""

from tests.store.test_chip_queue import TestLease, TestOrder, queue, view, watch


__all__ = ["TestLease", "TestOrder", "queue", "view", "watch"]
