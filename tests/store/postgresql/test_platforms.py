"""
Platforms in PostgreSQL: bulk, and answers that are made from it.
"""

from tests.store.test_platforms import TestEnter, TestRevoked, anchors
from tests.store.test_registrations import TestAllOrNone


__all__ = ["TestAllOrNone", "TestEnter", "TestRevoked", "anchors"]
