"""
Where held baselines stand: notice that a rule comes to another number, let
that wait, approve it, take it back.
"""

from __future__ import annotations

import json

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from thim.baseline.book import Promotion
from thim.baseline.definition import Kind
from thim.baseline.select import choose
from thim.errors import ConflictError, NotFoundError
from thim.services.serve import complete, read_landscape


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


def note_promotions(
    ledger: Ledger, promotions: Sequence[Promotion], hooks: Sequence[str]
) -> None:
    """
    Write *promotions* down, and tell *hooks* of those that wait.
    """
    for promotion in promotions:
        with ledger.all_or_none():
            if not ledger.definitions.promote(promotion):
                continue  # another process was first
            if promotion.effective != promotion.noticed:
                ledger.notices.add(
                    PROMOTION,
                    f"{promotion.baseline}@{promotion.version}"
                    f"#{promotion.sequence}",
                    json.dumps(_to_json(promotion)),
                    promotion.noticed,
                    hooks,
                )


def _to_json(promotion: Promotion) -> dict[str, object]:
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
    position = book.position(baseline, decision.now)
    before = [
        p
        for p in book.promotions(baseline)
        if position is not None
        and p.sequence < position.sequence
        and p.number != position.number
        and p.effective is not None
        and p.effective <= decision.now
    ]
    if not before:
        msg = f"baseline {baseline.name} stood nowhere before"
        raise ConflictError(msg, reason="nothing-before")
    return _put(ledger, book, baseline, before[-1].number, decision)


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
