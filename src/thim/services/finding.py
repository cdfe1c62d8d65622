"""
What is wrong with a store.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong with the store; *record* names what it is about."""

    record: str
    reason: str
    detail: str
