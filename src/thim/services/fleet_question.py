"""
One question about the fleet, which is what a baseline would make of it.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.definition import Kind
from thim.baseline.forecast import forecast_promotion, forecast_rule
from thim.baseline.model import Number
from thim.baseline.snapshot import unpack_fleet
from thim.errors import NotFoundError
from thim.services.fleet import DocumentReader
from thim.services.fleet import what_if as compare
from thim.services.judging import BELOW, FleetJudge, describe_flip
from thim.services.moves import find_position, make_move
from thim.services.promotions import find_pending
from thim.store.fleet_view import FleetView


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from thim.baseline.decided import Enactment
    from thim.baseline.fleet import Fleet
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

    *snapshot* is a packed fleet in the place of the store's, whose platforms
    are called by the numbers that they have there; of those that break *limit*
    are named for each TEE where not all are asked for.
    """

    baseline: str
    tenant: str
    now: datetime
    snapshot: bytes | None = None
    limit: int = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """
    The answer: the *move*, the *fleet* that was asked about, what it makes of
    Intel's platforms there (None where there are none, or nothing is known of a
    number: *trouble* says so), and which *chips* are below the minimum then.
    *by_when* is when it comes, and *confidence* how well that is known.
    """

    move: Move
    fleet: Fleet
    found: WhatIf | None
    trouble: str | None
    chips: tuple[Broken, ...]
    by_when: str
    confidence: str

    @property
    def breaking(self) -> int:
        """How many platforms and chips would break."""
        chips = sum(chip.before != BELOW for chip in self.chips)
        return (self.found.breaking if self.found else 0) + chips

    @property
    def lines(self) -> int:
        """How many `all_broken` has: of a platform one for each TEE."""
        tees = self.found.tees if self.found else ()
        chips = sum(chip.before != BELOW for chip in self.chips)
        return sum(report.flips for report in tees) + chips

    @property
    def is_unsaid(self) -> bool:
        """Whether nothing can be said of Intel's platforms that there are."""
        if self.found is None:
            return len(self.fleet) + self.fleet.unknown > 0
        return self.unjudged == self.found.platforms > 0

    @property
    def unjudged(self) -> int:
        """How many have a TCB, but no document of today's number."""
        return self.found.platforms - self.found.judged if self.found else 0

    def all_broken(self) -> Iterator[Broken]:
        """
        Go through all that would break.
        """
        if self.found is not None:
            yield from map(describe_flip, self.found.all_flips())
        yield from (chip for chip in self.chips if chip.before != BELOW)

    def all_below(self) -> Iterator[Broken]:
        """
        Go through the chips that are below the minimum already.
        """
        return (chip for chip in self.chips if chip.before == BELOW)


def answer(replica: Replica, question: Question) -> Answered:
    """
    Answer *question*.

    Raises:
        NotFoundError: There is no such tenant or baseline, or it comes to no
            number and has no minimum.
        MalformedError: The snapshot is none.
    """
    now, book = question.now, replica.book()
    tenant = book.find_tenant(question.tenant, now, now)
    there = book.find_baseline(question.baseline, now, now, tenant.name)
    move = make_move(replica, tenant, there, now)
    if move.after is None and not there.minimums:
        raise NotFoundError(_nothing(there), reason="rule-yields-nothing")
    fleet, names = _read_fleet(replica, question, move)
    found, trouble = _compare(replica, fleet, names, move, question.limit)
    by_when, confidence = find_when(replica, there, move, now)
    return Answered(
        move=move,
        fleet=fleet,
        found=found,
        trouble=trouble,
        chips=()
        if question.snapshot is not None
        else tuple(FleetJudge(replica, now).list_short_chips(move)),
        by_when=by_when,
        confidence=confidence,
    )


def _nothing(baseline: Baseline) -> str:
    return f"baseline {baseline.name} comes to no number"


def _read_fleet(
    replica: Replica, question: Question, move: Move
) -> tuple[Fleet, Callable[[Sequence[int]], Sequence[str]]]:
    if question.snapshot is None:
        view = FleetView(replica)
        return view.load(question.now, move.tenant.labels), view.names
    # It may be of another store, where the numbers are other machines.
    fleet = unpack_fleet(question.snapshot)
    return fleet, lambda keys: [f"platform {key}" for key in keys]


def _compare(
    replica: Replica,
    fleet: Fleet,
    names: Callable[[Sequence[int]], Sequence[str]],
    move: Move,
    limit: int,
) -> tuple[WhatIf | None, str | None]:
    if move.before is None:
        return None, _nothing(move.baseline_before)
    if move.after is None:
        return None, _nothing(move.baseline_after)
    if not len(fleet):
        return None, "no platform's TCB is known"
    documents = DocumentReader(replica)
    try:
        before = documents.read(move.before, fleet.fmspcs)
        after = documents.read(move.after, fleet.fmspcs)
    except NotFoundError as e:
        return None, str(e)
    return compare(fleet, before, after, names, limit=limit), None


def find_when(
    replica: Replica, baseline: Baseline, move: Move, now: datetime
) -> tuple[str, str]:
    """
    Say by when *move* comes by itself, and how well that is known.

    What is decided counts first.  A tenant that has the baseline already goes
    with it when it is promoted; a number comes to those who follow
    ``standard``.
    """
    book = replica.book()
    decided = _find_decision(replica, move, now)
    if decided is not None:
        plan = f", plan {decided.plan}" if decided.plan else ""
        return f"{decided.effective:%FT%TZ}", f"decided{plan}"
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


def _find_decision(
    replica: Replica, move: Move, now: datetime
) -> Enactment | None:
    """Find what was decided already and makes the same of the tenant later."""
    book, name = replica.book(), move.tenant.name
    decisions = [
        decision
        for kind, what in (
            (Kind.TENANT, name),
            (Kind.BASELINE, move.baseline_before.name),
        )
        for decision in book.enactments(kind, what)
        if decision.effective > now and decision.tenant in {None, name}
    ]
    for decision in sorted(decisions, key=lambda each: each.effective):
        at = decision.effective
        try:
            tenant = book.find_tenant(name, at, at)
            there = book.find_baseline(tenant.baseline, at, at, name)
        except NotFoundError:  # it is deleted then
            return None
        if there == move.baseline_after or (
            there.minimums == move.baseline_after.minimums
            and find_position(replica, tenant, there, now) == move.after
        ):
            return decision
    return None


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
        "taken": f"{answered.fleet.taken:%FT%TZ}",
        "platforms": len(answered.fleet),
        "unknown": answered.fleet.unknown,
        "unjudged": answered.unjudged,
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
