"""
One question about the fleet, which is what a baseline would make of it.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.forecast import forecast_promotion, forecast_rule
from thim.baseline.model import Number
from thim.baseline.snapshot import unpack_fleet
from thim.errors import NotFoundError
from thim.services.fleet import DocumentReader
from thim.services.fleet import what_if as compare
from thim.services.judging import FleetJudge, describe_flip
from thim.services.moves import make_move
from thim.services.promotions import find_pending
from thim.store.fleet_view import FleetView


if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from thim.baseline.model import Baseline
    from thim.baseline.rollout import Broken
    from thim.services.fleet import WhatIf
    from thim.services.moves import Move
    from thim.store.replica import Replica

UNKNOWN: Final = "unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    Asks what *baseline* would make of the platforms of *tenant*.

    *snapshot* is a packed fleet in the place of the store's; of those that
    break *limit* are named for each TEE where not all are asked for.
    """

    baseline: str
    tenant: str
    now: datetime
    snapshot: bytes | None = None
    limit: int = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """
    The answer: the *move*, what it makes of Intel's platforms (None where there
    are none, or nothing is known of a number), and which *chips* are below the
    minimum.  *by_when* is when it comes, and *confidence* how well that is
    known.
    """

    move: Move
    found: WhatIf | None
    trouble: str | None
    chips: tuple[Broken, ...]
    by_when: str
    confidence: str

    @property
    def breaking(self) -> int:
        """How many would break."""
        tees = self.found.tees if self.found else ()
        return sum(report.flips for report in tees) + len(self.chips)

    def all_broken(self) -> Iterator[Broken]:
        """
        Go through all that would break.
        """
        if self.found is not None:
            yield from map(describe_flip, self.found.all_flips())
        yield from self.chips


def answer(replica: Replica, question: Question) -> Answered:
    """
    Answer *question*.

    Raises:
        NotFoundError: There is no such tenant or baseline, or it comes to no
            number.
        MalformedError: The snapshot is none.
    """
    now, book = question.now, replica.book()
    tenant = book.find_tenant(question.tenant, now, now)
    there = book.find_baseline(question.baseline, now, now, tenant.name)
    move = make_move(replica, tenant, there, now)
    if move.after is None:
        msg = f"baseline {there.name} comes to no number"
        raise NotFoundError(msg, reason="rule-yields-nothing")
    found, trouble = _compare(replica, question, move)
    by_when, confidence = find_when(replica, there, move, now)
    return Answered(
        move=move,
        found=found,
        trouble=trouble,
        chips=tuple(FleetJudge(replica, now).list_broken_chips(move)),
        by_when=by_when,
        confidence=confidence,
    )


def _compare(
    replica: Replica, question: Question, move: Move
) -> tuple[WhatIf | None, str | None]:
    if move.before is None or move.after is None:
        return None, f"baseline {move.baseline_before.name} comes to no number"
    view = FleetView(replica)
    if question.snapshot is None:
        fleet = view.load(question.now, move.tenant.labels)
    else:
        fleet = unpack_fleet(question.snapshot)
    if not len(fleet):
        return None, "no platform's TCB is known"
    documents = DocumentReader(replica)
    try:
        before = documents.read(move.before, fleet.fmspcs)
        after = documents.read(move.after, fleet.fmspcs)
    except NotFoundError as e:
        return None, str(e)
    names = view.names
    return compare(fleet, before, after, names, limit=question.limit), None


def find_when(
    replica: Replica, baseline: Baseline, move: Move, now: datetime
) -> tuple[str, str]:
    """
    Say by when *move* comes by itself, and how well that is known.

    A tenant that has the baseline already goes with it when it is promoted; a
    number comes to those who follow ``standard``.
    """
    book = replica.book()
    pending = find_pending(book, move.baseline_before, now)
    if pending is not None and pending.number == move.after:
        if pending.effective is None:
            return UNKNOWN, "waits for approval"
        return f"{pending.effective:%FT%TZ}", "held until then"
    history = replica.number_history()
    forecast = forecast_rule(move.baseline_before.rule, history, now)
    if forecast is not None and forecast.number == move.after:
        return f"{forecast.at:%F}", forecast.confidence
    if isinstance(baseline.rule, Number) and move.after is not None:
        promotion = forecast_promotion(history, move.after)
        if promotion is not None:
            return (
                f"{promotion.at:%F}",
                f"as standard; {promotion.confidence}",
            )
    return UNKNOWN, "nobody has decided it, and no habit tells"


def to_json(answered: Answered) -> dict[str, Any]:
    """
    Write the answer without those who break.
    """
    move, found = answered.move, answered.found
    return {
        "tenant": move.tenant.name,
        "baseline_now": move.baseline_before.name,
        "number_now": move.before,
        "baseline": move.baseline_after.name,
        "number": move.after,
        "by_when": answered.by_when,
        "confidence": answered.confidence,
        "trouble": answered.trouble,
        "taken": None if found is None else f"{found.taken:%FT%TZ}",
        "platforms": 0 if found is None else found.platforms,
        "unknown": 0 if found is None else found.unknown,
        "breaking": answered.breaking,
        "tees": [
            {
                "tee": report.tee.value,
                "platforms": report.platforms,
                "qe_known": report.qe_known,
                "breaking": report.flips,
                "changed": report.changed,
                "standings": [
                    {"now": str(now), "then": str(then), "platforms": count}
                    for (now, then), count in report.counts.items()
                ],
            }
            for report in (found.tees if found else ())
        ],
        "chips_below_minimum": len(answered.chips),
    }
