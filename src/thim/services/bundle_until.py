"""
For how long a store does without its vendors.
"""

from __future__ import annotations

import contextlib
import dataclasses

from typing import TYPE_CHECKING

from thim.services.status import read_status
from thim.store.replica import Replica
from thim.store.watch import Watch


if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from thim.services.vendors import VendorSettings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """
    When the first of what is promised expires, and what that is; None where
    nothing that can is there.  *missing* promised documents are not there.
    """

    at: datetime | None
    what: str | None
    missing: int


def find_until(store: Path, settings: VendorSettings, now: datetime) -> Until:
    """
    Find when the first of what *store* promises expires.

    Raises:
        UnavailableError: The store cannot be read.
    """
    with contextlib.closing(Replica(store)) as replica:
        status = read_status(replica, Watch(replica), settings, now)
    first = status.next_expiry
    return Until(
        at=None if first is None else first.next_update,
        what=None if first is None else str(first.target),
        missing=status.states.get("missing", 0),
    )
