"""
Instants as the store keeps them: microseconds since 1970, UTC, an integer.
"""

from __future__ import annotations

import datetime

from typing import Final


_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


def to_stored(instant: datetime.datetime) -> int:
    """
    Convert an aware *instant*.
    """
    return (instant - _EPOCH) // _MICROSECOND


def from_stored(stored: int) -> datetime.datetime:
    """
    Convert back to an aware instant in UTC.
    """
    return _EPOCH + stored * _MICROSECOND
