"""
Signing keys and tokens in PostgreSQL.
"""

from tests.store.test_signing_keys import TestAdd, TestRevoke, view
from tests.store.test_tokens import TestUses


__all__ = ["TestAdd", "TestRevoke", "TestUses", "view"]
