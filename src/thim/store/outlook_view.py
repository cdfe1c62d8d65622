"""
How the platforms of each tenant stand, as it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from thim.store.file import StoreFile

_BODIES: Final = "SELECT tenant, body FROM outlooks WHERE tenant <> ''"
_BODY: Final = "SELECT body FROM outlooks WHERE tenant = ? AND taken >= ?"
_ANY: Final = """
    SELECT EXISTS (SELECT 1 FROM platforms)
        OR EXISTS (SELECT 1 FROM fleet_tcbs)
"""
_TAKEN: Final = "SELECT taken FROM outlooks WHERE tenant = ''"


class OutlookView:
    """
    The outlooks of a store.
    """

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def bodies(self) -> Mapping[str, str]:
        """
        Return the outlook of each tenant, JSON.
        """
        return dict(self._file.rows(_BODIES))

    def body(self, tenant: str, since: datetime | None = None) -> str | None:
        """
        Return the outlook of one *tenant*, JSON; None where there is none, or
        none that was worked out *since* then.
        """
        first = 0 if since is None else to_stored(since)
        row = self._file.first(_BODY, (tenant, first))
        return row[0] if row else None

    def has_fleet(self) -> bool:
        """
        Tell whether any machine is known.
        """
        return bool(self._file.first(_ANY)[0])

    def taken(self) -> datetime | None:
        """
        Return when they were worked out; None where they never were.
        """
        row = self._file.first(_TAKEN)
        with making_sense():
            return from_stored(row[0]) if row and row[0] else None
