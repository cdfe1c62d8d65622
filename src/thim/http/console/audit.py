"""
What was decided: events in their chain, and attestations with what they were
decided by.
"""

from __future__ import annotations

import asyncio

from typing import TYPE_CHECKING, Any, Final

from thim.attestation.kind import ATTESTED
from thim.errors import NotFoundError, ParameterError
from thim.http.console.guard import ConsolePage
from thim.http.console.platforms import read_asked, write_address
from thim.http.console.visit import Page, Visit
from thim.http.prefixes import parse_instant
from thim.services.audit_views import check_end
from thim.services.tokens import Permission
from thim.store.audit_view import AuditView, Filter
from thim.store.decision_file import REFUSED, find_decisions
from thim.store.decision_view import DecisionFilter, DecisionView
from thim.store.instants import from_stored, to_stored


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from thim.store.decision_file import Decision
    from thim.store.replica import Replica

_EVENTS: Final = ("actor", "action", "tenant", "since", "until")
_DECISIONS: Final = ("tenant", "type", "outcome", "since", "until")
_OUTCOMES: Final = {"tokens": False, "refused": True}
_MOST_NUMBER: Final = 2**53
_MOST_DIGITS: Final = 16


async def _list_events(visit: Visit) -> Page:
    asked = _read_asked(visit, _EVENTS)
    wanted = Filter(
        since=await _read_since(visit, asked),
        until=_read_instant("until", asked),
        tenant=asked["tenant"] or None,
        actor=asked["actor"] or None,
        action=asked["action"] or None,
    )
    before = _read_before(visit)

    def read(replica: Replica, _now: datetime) -> dict[str, Any]:
        page = AuditView(replica).page(wanted, before)
        return {
            "events": [(from_stored(link.at), link) for link in page.links],
            "before": page.before,
            "chain": check_end(replica),
        }

    return Page(
        template="audit.html",
        title="Audit",
        values={
            **await visit.read(read),
            "asked": asked,
            "is_first": before is None,
            "address": write_address("/console/audit", asked),
            "own": visit.principal.tenant,
        },
    )


def _read_asked(visit: Visit, fields: tuple[str, ...]) -> dict[str, str]:
    """Read what was asked for; a tenant's tokens ask for that tenant."""
    asked = read_asked(visit.query, fields)
    own = visit.principal.tenant
    return asked if own is None else {**asked, "tenant": own}


async def _read_since(
    visit: Visit, asked: Mapping[str, str]
) -> datetime | None:
    """Read since when; no tenant's token goes back behind its birth."""
    since, birth = _read_instant("since", asked), await _find_birth(visit)
    return max(filter(None, (since, birth)), default=None)


async def _find_birth(visit: Visit) -> datetime | None:
    # Who had the name before is no business of who has it now.
    own = visit.principal.tenant
    if own is None:
        return None
    return await visit.read(lambda r, now: r.book().find_birth(own, now))


def _read_instant(name: str, asked: Mapping[str, str]) -> datetime | None:
    text = asked[name]
    if not text:
        return None
    try:
        # A date alone is its first instant.
        found = parse_instant(text if "T" in text else f"{text}T00:00:00Z")
        to_stored(found)
    except (ParameterError, ValueError, OverflowError):
        expected = "expected an instant such as 2026-11-02T09:00:00Z, or a date"
        raise ParameterError(name, text, expected) from None
    return found


def _read_before(visit: Visit) -> int | None:
    text = visit.query.get("before", "")
    if not text:
        return None
    is_number = text.isascii() and text.isdecimal()
    if not is_number or len(text) > _MOST_DIGITS or int(text) > _MOST_NUMBER:
        raise ParameterError("before", text, "expected the end of a page")
    return int(text)


async def _list_decisions(visit: Visit) -> Page:
    asked = _read_asked(visit, _DECISIONS)
    wanted = DecisionFilter(
        since=await _read_since(visit, asked),
        until=_read_instant("until", asked),
        tenant=asked["tenant"] or None,
        type=asked["type"] or None,
        refused=_read_outcome(asked["outcome"]),
    )
    before = _read_before(visit)
    view = _view(visit)
    page = await asyncio.to_thread(view.page, wanted, before)
    return Page(
        template="decisions.html",
        title="Decisions about evidence",
        values={
            "decisions": page.decisions,
            "before": page.before,
            "asked": asked,
            "is_first": before is None,
            "is_filtered": any(asked.values()),
            "address": write_address("/console/decisions", asked),
            "types": sorted(kind.value for kind in ATTESTED),
            "outcomes": list(_OUTCOMES),
            "own": visit.principal.tenant,
            "mark": mark,
        },
    )


def _read_outcome(text: str) -> bool | None:
    if not text:
        return None
    if text not in _OUTCOMES:
        expected = f"expected {' or '.join(_OUTCOMES)}"
        raise ParameterError("outcome", text, expected)
    return _OUTCOMES[text]


def _view(visit: Visit) -> DecisionView:
    return DecisionView(find_decisions(visit.service.settings.store))


def mark(result: str) -> str:
    """
    Return the colour of a decision's *result*.
    """
    if result.startswith(REFUSED):
        return "bad"
    return "good" if result in _GOOD else "soon"


#: Of an SEV-SNP report it says that it was accepted, and no more.
_GOOD: Final = frozenset({"UpToDate", "SWHardeningNeeded", "accepted"})


async def _show_decision(visit: Visit) -> Page:
    jti = visit.names["jti"]
    found = await asyncio.to_thread(_view(visit).find, jti)
    own, birth = visit.principal.tenant, await _find_birth(visit)
    is_own = found is not None and own in {None, found.tenant}
    if found is None or not is_own or (birth and found.at < birth):
        msg = (
            f"no decision is on record here of the token {jti[:80]!r}: another "
            "node issued it, or so long ago that its record is dropped"
        )
        raise NotFoundError(msg, reason="unknown-token")
    return Page(
        template="decision.html",
        title="Decision",
        values={
            "decision": found,
            "kind": mark(found.result),
            "is_refused": found.result.startswith(REFUSED),
            "documents": await visit.read(
                lambda replica, _: _name_documents(replica, found)
            ),
        },
    )


def _name_documents(
    replica: Replica, decision: Decision
) -> list[tuple[str, str | None, str]]:
    """List what decided: what it is called there, its name, and its digest."""
    view, rows = AuditView(replica), []
    for called, digest in sorted(decision.documents.items()):
        name = called if "/" in called else None
        if name is None:
            number = decision.evaluation_number
            key = view.find_document(called, number, bytes.fromhex(digest))
            name = None if key is None else str(key)
        rows.append((called, name, digest))
    return rows


_READ: Final = Permission.READ
AUDIT: Final = (
    ("/audit", "GET", ConsolePage(_READ, _list_events, for_tenants=True)),
    (
        "/decisions",
        "GET",
        ConsolePage(_READ, _list_decisions, for_tenants=True),
    ),
    (
        "/decisions/{jti}",
        "GET",
        ConsolePage(_READ, _show_decision, for_tenants=True),
    ),
)
