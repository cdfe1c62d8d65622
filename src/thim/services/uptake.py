"""
How many of a tenant's clients have fetched a number.
"""

from __future__ import annotations

import dataclasses
import datetime

from typing import TYPE_CHECKING, Final

from thim.errors import ParameterError
from thim.services.client_notes import LAG
from thim.store.client_view import ClientView


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thim.store.client_view import ClientNumber
    from thim.store.replica import Replica

#: QCNL keeps what it has fetched for so long, unless it is told otherwise: who
#: has not asked since then is gone, or has nothing left of an older number.
PERIOD: Final = datetime.timedelta(hours=168)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Uptake:
    """
    How a *number* has reached the clients of a *tenant*.

    Args:
        clients: How many were seen *since* then.
        fetched: How many of them last fetched the number or a newer one.
        behind: The others, those that were seen last first; not more of them
            than were asked for.
    """

    tenant: str
    number: int
    since: datetime.datetime
    clients: int
    fetched: int
    behind: Sequence[ClientNumber]

    @property
    def share(self) -> float | None:
        """
        Return which share has fetched it; None where nobody was seen.
        """
        return self.fetched / self.clients if self.clients else None


def find_uptake(
    replica: Replica,
    tenant: str,
    number: int,
    now: datetime.datetime,
    most: int = 100,
) -> Uptake:
    """
    Find how far *number* has reached the clients of *tenant* at *now*, and
    list *most* of those that it has not.

    A client counts for a `PERIOD`, and for as long as what is written down of
    it may lag: rather one too many than one overlooked.  Whose tenant had the
    same name before is not told of.

    Raises:
        ParameterError: *most* is negative.
        NotFoundError: There is no such tenant.
        UnavailableError: The store cannot be read.
    """
    if most < 0:
        raise ParameterError("most", str(most), "expected 0 or more")
    since = now - PERIOD - LAG
    view = ClientView(replica)
    with replica.snapshot():
        book = replica.book()
        book.find_tenant(tenant, now, now)
        birth = book.find_birth(tenant, now)
        since = since if birth is None else max(since, birth)
        counts = view.count(tenant, since)
        behind = view.behind(tenant, number, since, most)
    return Uptake(
        tenant=tenant,
        number=number,
        since=since,
        clients=sum(counts.values()),
        fetched=sum(n for seen, n in counts.items() if seen >= number),
        behind=tuple(behind),
    )
