"""
What is shown of the chain of events without going through all of it.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Final

from thim.store.audit_view import AuditView
from thim.store.event_chain import NOTHING, find_breaks


if TYPE_CHECKING:
    from thim.store.event_chain import Link
    from thim.store.replica import Replica

#: Events at the end of the chain that are checked again.
TAIL: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChainEnd:
    """
    The end of the chain of events.

    Attributes:
        head: The last event; None before there is one.
        checked: So many events up to it were checked now.
        broken: The number of the first of them that does not follow from the
            one before; None if all do.
        why: What is wrong with it.
    """

    head: Link | None
    checked: int
    broken: int | None = None
    why: str = ""


def check_end(replica: Replica, most: int = TAIL) -> ChainEnd:
    """
    Check that the last events follow from one another, *most* of them.

    Raises:
        UnavailableError: The store cannot be read.
    """
    view = AuditView(replica)
    head = view.newest()
    if head is None:
        return ChainEnd(head=None, checked=0)
    after = max(head.id - most, 0)
    links, before = list(view.chain(after)), NOTHING
    if after:  # what the first of them follows from was not read
        before, links = links[0].digest or NOTHING, links[1:]
    for link, why in find_breaks(links, before):
        return ChainEnd(head=head, checked=len(links), broken=link.id, why=why)
    return ChainEnd(head=head, checked=len(links))
