"""
What an operator must know of how a node stands towards its ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.services.status import Concern, Level
from thim.store.node_state import AWAY, DAMAGED, read_state_file


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thim.store.node_state import NodeState
    from thim.store.replica import Replica

#: Changes by which a replica may be behind at any moment.
_BEHIND: Final = 1000


def find_node_concerns(replica: Replica) -> Iterator[Concern]:
    """
    Find what an operator must know of the node that *replica* is of; nothing
    where the store is the ledger.
    """
    if replica.ledger_address() is None:
        return
    state = read_state_file(replica.path)
    if state is None or state.is_away:
        yield _cannot_follow(state)
    elif state.reason is not None:
        yield _ail(state)
    if state is not None:
        yield from _find_differences(state)


def _cannot_follow(state: NodeState | None) -> Concern:
    detail = (
        f"what was there goes on to be served, nothing new is kept, and "
        f"nothing fetched ({state.trouble if state else 'nobody follows it'})"
    )
    found = state.reason if state else None
    is_ledgers = found is not None and found.startswith("ledger-")
    reason = found if found and is_ledgers else AWAY
    return Concern(level=Level.NOW, reason=reason, detail=detail)


def _ail(state: NodeState) -> Concern:
    what = (
        "what cannot be read there is not written any more either"
        if state.reason == DAMAGED
        else "nothing new is kept until there is room again"
    )
    detail = f"{what}, what is here goes on to be served ({state.trouble})"
    return Concern(level=Level.NOW, reason=str(state.reason), detail=detail)


def _find_differences(state: NodeState) -> Iterator[Concern]:
    behind = state.ledger_position - state.position
    if behind > _BEHIND:
        detail = f"{behind} changes of the ledger are yet to be followed"
        yield Concern(level=Level.SOON, reason="replica-behind", detail=detail)
    others = [node.name for node in state.nodes if node.digest_differs]
    if state.differs or others:
        whose = ", ".join(others) or "the ledger"
        detail = f"other documents are current here than in {whose}"
        yield Concern(level=Level.NOW, reason="replica-differs", detail=detail)
