"""
Where held baselines stand: notice that a rule comes to another number, let
that wait, approve it, take it back.
"""

from __future__ import annotations

import json

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from thim.baseline.choice import choose
from thim.baseline.decided import Promotion
from thim.baseline.definition import Kind
from thim.errors import ConflictError, NotFoundError
from thim.services.landscape import complete, read_landscape


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from thim.baseline.book import Book
    from thim.baseline.model import Baseline
    from thim.services.deciding import Decision
    from thim.store.ledger import Ledger
    from thim.store.replica import Replica

#: What a notice of one is called.
PROMOTION: Final = "baseline-promotion"
_BY_RULE: Final = "rule"
_ACTOR: Final = "thim"


def held_baselines(book: Book, now: datetime) -> Iterator[Baseline]:
    """
    List the versions of held baselines that are in force for somebody.
    """
    for name in book.names(Kind.BASELINE):
        tenants = {e.tenant for e in book.enactments(Kind.BASELINE, name)}
        decisions = {
            decision.version
            for tenant in {None, *tenants}
            if (decision := book.in_force(Kind.BASELINE, name, now, tenant))
        }
        for version in sorted(decisions):
            baseline = book.read_baseline(name, version)
            if baseline.hold is not None:
                yield baseline


def find_promotions(replica: Replica, now: datetime) -> list[Promotion]:
    """
    Find which held baselines' rules have come to another number than the last
    one that is written down.
    """
    book = replica.book()
    found = (
        _find_promotion(replica, book, baseline, now)
        for baseline in held_baselines(book, now)
    )
    return [promotion for promotion in found if promotion is not None]


def _find_promotion(
    replica: Replica, book: Book, baseline: Baseline, now: datetime
) -> Promotion | None:
    made = book.promotions(baseline)
    landscape = complete(read_landscape(replica), baseline, replica)
    try:
        number = choose(baseline, landscape, now).number
    except NotFoundError:
        return None
    if made and made[-1].number == number:
        return None
    position = book.position(baseline, now)
    is_there = position is None or position.number == number
    return Promotion(
        baseline=baseline.name,
        version=baseline.version,
        sequence=len(made) + 1,
        number=number,
        noticed=now,
        effective=now if is_there else _held_until(baseline, now),
        actor=_BY_RULE,
        reason="where it begins" if position is None else "the rule moved",
    )


def _held_until(baseline: Baseline, now: datetime) -> datetime | None:
    hold = baseline.hold
    return now + hold if isinstance(hold, timedelta) else None


def is_waiting(promotion: Promotion) -> bool:
    """
    Tell whether *promotion* did not answer from when it was noticed.
    """
    return promotion.effective != promotion.noticed


def note_promotion(
    ledger: Ledger,
    promotion: Promotion,
    impacts: Sequence[dict[str, Any]],
    hooks: Sequence[str],
) -> bool:
    """
    Write *promotion* down; if it waits, tell *hooks* of it and what it does.
    Return whether no other process was first.
    """
    where = f"{promotion.baseline}@{promotion.version}#{promotion.sequence}"
    at = promotion.noticed
    with ledger.all_or_none():
        if not ledger.definitions.promote(promotion):
            return False
        if is_waiting(promotion):
            body = json.dumps({**_to_json(promotion), "tenants": impacts})
            ledger.notices.add(PROMOTION, where, body, at, hooks)
            ledger.events.add(f"{PROMOTION}-waits", body, actor=_ACTOR, now=at)
    return True


def _to_json(promotion: Promotion) -> dict[str, Any]:
    effective = promotion.effective
    return {
        "baseline": promotion.baseline,
        "version": promotion.version,
        "number": promotion.number,
        "noticed": f"{promotion.noticed:%FT%TZ}",
        "effective": None if effective is None else f"{effective:%FT%TZ}",
        "waits_for": "approval" if effective is None else "hold",
    }


def find_pending(
    book: Book, baseline: Baseline, now: datetime
) -> Promotion | None:
    """
    Return the promotion that *baseline* waits for, if it does.
    """
    made = book.promotions(baseline)
    position = book.position(baseline, now)
    if not made or made[-1] is position:
        return None
    return made[-1]


def require_pending(book: Book, baseline: Baseline, now: datetime) -> Promotion:
    """
    Return the promotion that *baseline* waits for.

    Raises:
        ConflictError: It waits for none.
    """
    pending = find_pending(book, baseline, now)
    if pending is None:
        msg = f"baseline {baseline.name} waits for nothing"
        raise ConflictError(msg, reason="nothing-pending")
    return pending


def approve(
    ledger: Ledger, book: Book, baseline: Baseline, decision: Decision
) -> Promotion:
    """
    Let the promotion that *baseline* waits for answer at once.

    Raises:
        ConflictError: There is none, or somebody else was first.
    """
    pending = require_pending(book, baseline, decision.now)
    return _put(ledger, book, baseline, pending.number, decision)


def demote(
    ledger: Ledger, book: Book, baseline: Baseline, decision: Decision
) -> Promotion:
    """
    Let *baseline* stand where it stood before; its rule will want to move
    again, after the hold.

    Raises:
        ConflictError: It stood nowhere before, or somebody else was first.
    """
    before = find_before(book, baseline, decision.now)
    if before is None:
        msg = f"baseline {baseline.name} stood nowhere before"
        raise ConflictError(msg, reason="nothing-before")
    return _put(ledger, book, baseline, before, decision)


def find_before(book: Book, baseline: Baseline, now: datetime) -> int | None:
    """
    Return the number at which held *baseline* stood before the present one;
    None where it stood nowhere.
    """
    stood = _list_stood(book, baseline, now)
    return stood[-2] if len(stood) > 1 else None


def _list_stood(book: Book, baseline: Baseline, now: datetime) -> list[int]:
    """
    List the numbers at which *baseline* stood one after the other, without
    those that were taken back: to do that twice goes back twice.
    """
    stood: list[int] = []
    for each in book.promotions(baseline):
        since = each.effective
        if since is None or since > now:
            continue
        if book.position(baseline, since) is not each:
            continue  # something else came before it was effective
        if stood[-2:-1] == [each.number]:
            stood.pop()
        elif stood[-1:] != [each.number]:
            stood.append(each.number)
    return stood


def _put(
    ledger: Ledger,
    book: Book,
    baseline: Baseline,
    number: int,
    decision: Decision,
) -> Promotion:
    promotion = Promotion(
        baseline=baseline.name,
        version=baseline.version,
        sequence=len(book.promotions(baseline)) + 1,
        number=number,
        noticed=decision.now,
        effective=decision.now,
        actor=decision.actor,
        reason=decision.reason,
    )
    if not ledger.definitions.promote(promotion):
        msg = (
            f"baseline {baseline.name} was moved by somebody else meanwhile: "
            f"nothing was done; look at it again"
        )
        raise ConflictError(msg, reason="changed-meanwhile")
    return promotion
