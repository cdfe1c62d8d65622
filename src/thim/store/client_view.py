"""
Which evaluation number each client last fetched, as it is read.
"""

from __future__ import annotations

import dataclasses
import datetime
import json

from typing import TYPE_CHECKING, Final

from thim.store.file import making_sense
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thim.store.file import StoreFile

#: Processes' clocks differ by less: what was *seen* later than that was seen
#: by a clock that was ahead, and must not count for ever.
AHEAD: Final = datetime.timedelta(minutes=5)

#: CROSS, so that each name is looked up, and not all clients for each of them.
_FIND: Final = """
    SELECT c.client, c.number, c.seen
      FROM json_each(?) j
     CROSS JOIN client_numbers c ON c.tenant = ? AND c.client = j.value
"""
_COUNT: Final = """
    SELECT number, count(*) FROM client_numbers
     WHERE tenant = ? AND seen >= ?
     GROUP BY number ORDER BY number
"""
_BEHIND: Final = """
    SELECT client, number, seen FROM client_numbers
     WHERE tenant = ? AND seen >= ? AND number < ?
     ORDER BY seen DESC, client LIMIT ?
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientNumber:
    """
    Which *number* a *client* of a *tenant*, an address or an IPv6 /64, last
    fetched, and when it was last *seen*.
    """

    tenant: str
    client: str
    number: int
    seen: datetime.datetime


class ClientView:
    """
    The clients that a store knows.
    """

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def find(
        self, tenant: str, clients: Iterable[str]
    ) -> Mapping[str, ClientNumber]:
        """
        Find what is written down of *clients*, by their names.
        """
        rows = self._file.rows(_FIND, (json.dumps(list(clients)), tenant))
        return {row[0]: _read(tenant, *row) for row in rows}

    def count(self, tenant: str, since: datetime.datetime) -> Mapping[int, int]:
        """
        Count by number the clients of *tenant* that were seen *since* then.
        """
        return dict(self._file.rows(_COUNT, (tenant, to_stored(since))))

    def behind(
        self, tenant: str, number: int, since: datetime.datetime, most: int
    ) -> Sequence[ClientNumber]:
        """
        List the clients of *tenant* that were seen *since* then and last
        fetched an older number than *number*: *most* of them, those that were
        seen last first.
        """
        values = (tenant, to_stored(since), number, most)
        rows = self._file.rows(_BEHIND, values)
        return [_read(tenant, *row) for row in rows]


def _read(tenant: str, client: str, number: int, seen: int) -> ClientNumber:
    with making_sense():
        return ClientNumber(
            tenant=tenant,
            client=client,
            number=number,
            seen=from_stored(seen),
        )
