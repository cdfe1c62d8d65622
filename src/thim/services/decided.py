"""
Everything that was decided, in one list: events, what came to be served, and
what was decided about evidence.
"""

from __future__ import annotations

import dataclasses
import enum
import heapq
import itertools

from typing import TYPE_CHECKING, Final

from thim.errors import ParameterError
from thim.store.audit_view import AuditView
from thim.store.decision_file import REFUSED
from thim.store.decision_view import MOST_LISTED
from thim.store.instants import from_stored


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from thim.store.audit_view import Filter, Move
    from thim.store.decision_file import Decision
    from thim.store.decision_view import DecisionView
    from thim.store.event_chain import Link
    from thim.store.replica import Replica

#: Who decides where nobody was asked.
SERVICE: Final = "thim"


class Source(enum.Enum):
    """Where a decision is written down."""

    EVENT = "event"
    DOCUMENT = "document"
    ATTESTATION = "attestation"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """
    One decision: when, by whom, what, and whom it concerns if that is one
    tenant alone.
    """

    source: Source
    at: datetime
    actor: str
    action: str
    tenant: str | None
    detail: str


def list_decided(  # noqa: PLR0913 - what a list is asked for
    replica: Replica,
    decisions: DecisionView,
    wanted: Filter,
    sources: Collection[Source],
    *,
    limit: int,
    page: int,
) -> Sequence[Decided]:
    """
    List a *page* of *limit* decisions, the newest first.

    Raises:
        ParameterError: It is too far back: the period is to be narrowed.
        UnavailableError, OperatorError: What there is cannot be read.
    """
    most = limit * page
    if most > MOST_LISTED:
        expected = (
            f"expected at most {MOST_LISTED} rows up to its end: say from "
            f"when to when instead"
        )
        raise ParameterError("--page", str(page), expected)
    view = AuditView(replica)
    found: dict[Source, Iterator[Decided]] = {
        Source.EVENT: _events(view, wanted, most),
        Source.DOCUMENT: _documents(view, wanted, most),
        Source.ATTESTATION: _attestations(decisions, wanted, most),
    }
    merged = heapq.merge(
        *(rows for source, rows in found.items() if source in sources),
        key=lambda each: each.at,
        reverse=True,
    )
    return list(itertools.islice(merged, most - limit, most))


def _events(view: AuditView, wanted: Filter, most: int) -> Iterator[Decided]:
    yield from map(_event, view.events(wanted, most))


def _documents(view: AuditView, wanted: Filter, most: int) -> Iterator[Decided]:
    is_wanted = _is_service(wanted, ("document",)) and wanted.tenant is None
    yield from map(_document, view.moves(wanted, most) if is_wanted else ())


def _attestations(
    view: DecisionView, wanted: Filter, most: int
) -> Iterator[Decided]:
    actions = ("token", "refusal")
    if not _is_service(wanted, actions):
        return
    found = map(
        _attestation,
        view.list(
            wanted.tenant,
            wanted.since,
            wanted.until,
            most,
            refused=wanted.action == "refusal",
        ),
    )
    yield from (d for d in found if wanted.action in {None, d.action})


def _is_service(wanted: Filter, actions: Collection[str]) -> bool:
    return wanted.actor in {None, SERVICE} and wanted.action in {None, *actions}


def _event(link: Link) -> Decided:
    return Decided(
        source=Source.EVENT,
        at=from_stored(link.at),
        actor=link.actor,
        action=link.action,
        tenant=link.tenant,
        detail=link.detail,
    )


def _document(move: Move) -> Decided:
    number = move.evaluation_number
    which = "" if number is None else f" number {number}"
    return Decided(
        source=Source.DOCUMENT,
        at=move.moved,
        actor=SERVICE,
        action="document",
        tenant=None,
        detail=f"{move.key}{which} issued {move.issued:%FT%TZ}: "
        f"{move.sha256.hex()} from {move.source}",
    )


def _attestation(decision: Decision) -> Decided:
    is_refused = decision.result.startswith(REFUSED)
    return Decided(
        source=Source.ATTESTATION,
        at=decision.at,
        actor=SERVICE,
        action="refusal" if is_refused else "token",
        tenant=decision.tenant,
        detail=f"{decision.type} {decision.jti}: {decision.result}",
    )
