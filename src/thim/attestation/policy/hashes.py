"""
What a policy is named by in tokens.
"""

from __future__ import annotations

import base64
import hashlib


def policy_hash(text: str) -> str:
    """
    Return the hash of a policy's *text*, as tokens have it.
    """
    encoded = _base64url(text.encode())
    return _base64url(hashlib.sha256(encoded).digest()).decode()


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
