"""
Which document a tenant got at an instant, and who decided that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thim.baseline.definition import Kind
from thim.errors import NotFoundError
from thim.services.serve import check_instant, find_answer
from thim.store.past import PastReader, find_first_move


if TYPE_CHECKING:
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.decided import Enactment
    from thim.services.serve import Answer, Query
    from thim.store.replica import Replica


def find_served(
    replica: Replica, query: Query, then: datetime, now: datetime
) -> dict[str, Any]:
    """
    Say what answered *query* at the instant *then*, and by whose decisions.

    Raises:
        NotFoundError: Nothing did; the message says what was missing, or that
            nothing is known of that time.
        ParameterError: The instant is in the future, or the query contradicts
            itself.
    """
    check_instant(then, now)
    first = find_first_move(replica)
    if first is None or then < first:
        since = "never" if first is None else f"since {first:%FT%TZ}"
        msg = f"what was served is known {since}, not at {then:%FT%TZ}"
        raise NotFoundError(msg, reason="before-archive")
    answer = find_answer(PastReader(replica, then), query, then)
    return _describe(replica.book(), answer, then)


def _describe(book: Book, answer: Answer, then: datetime) -> dict[str, Any]:
    held, choice = answer.held, answer.choice
    return {
        "tenant": answer.tenant,
        "at": f"{then:%FT%TZ}",
        "document": str(held.key),
        "sha256": held.sha256.hex(),
        "issued": f"{held.issued:%FT%TZ}",
        "next_update": None
        if held.next_update is None
        else f"{held.next_update:%FT%TZ}",
        "fetched": f"{held.fetched:%FT%TZ}",
        "state": answer.state.value,
        "baseline": answer.baseline,
        "number": None if choice is None else choice.number,
        "inferred": None if choice is None else choice.inferred,
        "decisions": _list_decisions(book, answer, then),
    }


def _list_decisions(
    book: Book, answer: Answer, then: datetime
) -> list[dict[str, Any]]:
    names = (
        (Kind.TENANT, answer.tenant),
        (Kind.BASELINE, answer.baseline),
    )
    made = [
        decision
        for kind, name in names
        if (decision := book.in_force(kind, name, then, answer.tenant))
    ]
    return [
        *map(_describe_decision, made),
        *_list_promotions(book, made, then),
    ]


def _describe_decision(decision: Enactment) -> dict[str, Any]:
    return {
        "what": f"{decision.kind.value} {decision.name} version "
        f"{decision.version}",
        "since": f"{decision.effective:%FT%TZ}",
        "actor": decision.actor,
        "reason": decision.reason,
        "plan": decision.plan,
    }


def _list_promotions(
    book: Book, made: list[Enactment], then: datetime
) -> list[dict[str, Any]]:
    found = []
    for decision in made:
        if decision.kind is not Kind.BASELINE:
            continue
        baseline = book.read_baseline(decision.name, decision.version)
        position = book.position(baseline, then)
        if baseline.hold is not None and position and position.effective:
            found.append(
                {
                    "what": f"baseline {baseline.name} at {position.number}",
                    "since": f"{position.effective:%FT%TZ}",
                    "actor": position.actor,
                    "reason": position.reason,
                    "plan": None,
                }
            )
    return found
