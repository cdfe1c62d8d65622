"""
When the many certificates end that are no documents of their own, counted.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.store.instants import to_stored


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from thim.store.replica import Replica

#: The ends of the windows, by their names; *expired* comes before them all, and
#: *later* after.
_WINDOWS: Final[Mapping[str, timedelta]] = {
    "expired": timedelta(0),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
_LATER: Final = "later"
_ENDS: Final = """
    SELECT sum(not_after <= ?1), sum(not_after <= ?2), sum(not_after <= ?3),
           sum(not_after <= ?4), count(*)
"""
_PCK: Final = f"{_ENDS} FROM pck_certificates WHERE is_current = 1"
_VCEK: Final = f"{_ENDS} FROM endorsement_keys WHERE kind = 'vcek'"
_QUARANTINED: Final = "SELECT count(*) FROM quarantine"


class ExpiryView:
    """
    The ends of certificates as *replica* shows them.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def pck_certificates(self, now: datetime) -> Mapping[str, int]:
        """
        Count the current PCK certificates by the window in which they end.

        All of them are looked at, which takes a second for a million.
        """
        return self._count(_PCK, now)

    def vceks(self, now: datetime) -> Mapping[str, int]:
        """
        Count the VCEKs that are held by the window in which they end.
        """
        return self._count(_VCEK, now)

    def quarantined(self) -> int:
        """
        Count what lies in quarantine.
        """
        (count,) = self._replica.first(_QUARANTINED)
        return int(count)

    def _count(self, statement: str, now: datetime) -> Mapping[str, int]:
        ends = tuple(to_stored(now + w) for w in _WINDOWS.values())
        below = [count or 0 for count in self._replica.first(statement, ends)]
        names = (*_WINDOWS, _LATER)
        pairs = zip(below, [0, *below], strict=False)
        return dict(
            zip(names, (end - before for end, before in pairs), strict=True)
        )
