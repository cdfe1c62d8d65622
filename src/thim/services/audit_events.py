"""
Check a store's events again: the chain that they are in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.services.finding import Finding
from thim.store.audit_view import AuditView
from thim.store.event_chain import find_breaks


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.store.replica import Replica

_SHOWN: Final = 20


def find_event_findings(replica: Replica) -> Iterator[Finding]:
    """
    Check that each event follows from the one before; of many that do not, the
    first ones are told.
    """
    breaks = find_breaks(AuditView(replica).chain())
    for (link, why), _ in zip(breaks, range(_SHOWN), strict=False):
        yield Finding(record=f"event {link.id}", reason="chain", detail=why)
