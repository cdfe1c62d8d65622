"""
What an operator must know of the keys that sign tokens.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.attestation.signing_key import LEAD, find_current, is_successor_due
from thim.services.status import Concern, Level
from thim.store.signing_key_view import SigningKeyView


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.store.replica import Replica

REASON: Final = "signing-key"
#: So long a service takes to make a key at the most, if nothing is wrong.
_GRACE: Final = timedelta(hours=1)


def find_key_concerns(
    replica: Replica, now: datetime, life: timedelta
) -> Iterator[Concern]:
    """
    Find whether the keys that sign for *life* each follow one another.

    Raises:
        UnavailableError: The store cannot be read.
    """
    keys = SigningKeyView(replica).all()
    if not keys:
        return  # nobody has needed one
    current = find_current(keys, now)
    if current is None:
        detail = "no key signs tokens: a running service makes one"
        yield Concern(level=Level.NOW, reason=REASON, detail=detail)
    elif is_successor_due(keys, now - _GRACE, life, LEAD):
        end = current.active_from + life
        detail = (
            f"{current.kid} is to sign until {end:%FT%TZ}, and the next key "
            f"is not made"
        )
        level = Level.NOW if now >= end else Level.SOON
        yield Concern(level=level, reason=REASON, detail=detail)
