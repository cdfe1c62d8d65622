"""
The agenda in PostgreSQL: leases, budgets, breakers.
"""

from tests.store.test_agenda import (
    TestBreaker,
    TestClaim,
    TestHasten,
    TestSettle,
    agenda,
    other,
    watch,
)


__all__ = [
    "TestBreaker",
    "TestClaim",
    "TestHasten",
    "TestSettle",
    "agenda",
    "other",
    "watch",
]
