"""
What a change of baseline does to tenants' platforms, Intel's by their TCBs and
AMD's by the minimum.

It needs arrays, which no process that serves has loaded: a service has it done
apart (``services.judged_apart``).
"""

from __future__ import annotations

import collections
import dataclasses
import itertools

from typing import TYPE_CHECKING, Any, Final

from thim.baseline.documents import DocumentSet
from thim.baseline.minimum import list_shortfalls
from thim.baseline.rollout import Broken, Impact
from thim.baseline.standing import Standing
from thim.errors import NotFoundError
from thim.services.fleet import DocumentReader, what_if
from thim.services.landscape import read_landscape
from thim.services.moves import find_position
from thim.services.number_watch import list_news_moves
from thim.store.chip_view import ChipView
from thim.store.fleet_view import FleetView
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from thim.amd.tcb import TcbVersion
    from thim.baseline.fleet import Fleet
    from thim.baseline.minimum import Minimum
    from thim.baseline.model import Tenant
    from thim.collateral.chips import KnownChip
    from thim.services.fleet import Flip, WhatIf
    from thim.services.moves import Move

#: So many are named for SGX, TDX and AMD each.
_EXAMPLES: Final = 20
BELOW: Final = "below-minimum"


class FleetJudge:
    """
    Judges by the platforms that *replica* has; each tenant's are read once.
    """

    def __init__(self, replica: Replica, now: datetime) -> None:
        self._replica = replica
        self._view = FleetView(replica)
        self._documents = DocumentReader(replica)
        self._now = now
        self._fleets: dict[tuple[tuple[str, str], ...], Fleet] = {}
        self._chips = [
            known for known in ChipView(replica).all() if not known.retired
        ]

    def fleet(self, tenant: Tenant) -> Fleet:
        """
        Read the platforms of *tenant*.
        """
        labels = tuple(sorted(tenant.labels.items()))
        if labels not in self._fleets:
            self._fleets[labels] = self._view.load(self._now, tenant.labels)
        return self._fleets[labels]

    def compare(
        self, tenant: Tenant, before: int, after: int, limit: int = _EXAMPLES
    ) -> WhatIf:
        """
        Compare what two numbers make of the platforms of *tenant*.
        """
        fleet = self.fleet(tenant)
        return what_if(
            fleet,
            self._read(before, fleet),
            self._read(after, fleet),
            self._view.names,
            limit=limit,
        )

    def _read(self, number: int, fleet: Fleet) -> DocumentSet:
        try:
            return self._documents.read(number, fleet.fmspcs)
        except NotFoundError:  # then nobody is acceptable under it
            return DocumentSet(number=number, tcb_infos={}, identities={})

    def judge(self, move: Move) -> Impact:
        """
        Work out what *move* does.
        """
        found = self._judge_intel(move)
        chips = list(self.list_broken_chips(move))
        count = len(self._chips_of(move.tenant))
        return dataclasses.replace(
            found,
            platforms=found.platforms + count,
            judged=found.judged + count,
            breaking=found.breaking + len(chips),
            unacceptable=found.unacceptable + self._count_below(move),
            examples=(*found.examples, *chips[:_EXAMPLES]),
        )

    def _judge_intel(self, move: Move) -> Impact:
        before, after = move.before, move.after
        plain = Impact(tenant=move.tenant.name, before=before, after=after)
        if before is None or after is None:
            return plain
        fleet = self.fleet(move.tenant)
        if not len(fleet):
            return dataclasses.replace(plain, platforms=fleet.unknown)
        found = self.compare(move.tenant, before, after)
        return dataclasses.replace(
            plain,
            platforms=found.platforms + found.unknown,
            judged=found.judged,
            breaking=found.breaking,
            unacceptable=found.judged - found.acceptable,
            examples=tuple(map(describe_flip, found.flips)),
        )

    def judge_number(self, number: int) -> list[Impact]:
        """
        Work out what it would do to each tenant to go to *number*.
        """
        moves = list_news_moves(self._replica, number, self._now)
        return [self.judge(move) for move in moves]

    def ask(self, baseline: str, tenant: str, limit: int) -> dict[str, Any]:
        """
        Say what *baseline* would make of the platforms of *tenant*, and name
        *limit* of those that break.

        Raises:
            NotFoundError: There is no such tenant or baseline.
        """
        from thim.services.fleet_question import (  # noqa: PLC0415 - a circle
            Question,
            answer,
            to_json,
        )

        question = Question(
            baseline=baseline, tenant=tenant, now=self._now, limit=limit
        )
        found = answer(self._replica, question)
        broken = itertools.islice(found.all_broken(), limit)
        below = itertools.islice(found.all_below(), limit)
        return {
            **to_json(found),
            "broken": [dataclasses.asdict(each) for each in broken],
            "below_already": [dataclasses.asdict(each) for each in below],
        }

    def outlooks(self) -> dict[str, dict[str, Any]]:
        """
        Say of each tenant of which families its platforms are, how they stand,
        and how many would break under the newest number that the vendor signs.
        """
        book, now = self._replica.book(), self._now
        newest = max(read_landscape(self._replica).signed, default=None)
        return {
            tenant.name: self._find_outlook(tenant, newest)
            for tenant in book.tenants(now)
        }

    def _find_outlook(
        self, tenant: Tenant, newest: int | None
    ) -> dict[str, Any]:
        baseline = self._replica.book().find_baseline(
            tenant.baseline, self._now, self._now, tenant.name
        )
        number = find_position(self._replica, tenant, baseline, self._now)
        plain: dict[str, Any] = {
            "number": number,
            "newest": newest,
            "families": _count_families(self.fleet(tenant)),
            "standings": [],
        }
        if number is None or not len(self.fleet(tenant)):
            return plain
        found = self.compare(tenant, number, newest or number, limit=0)
        standings = collections.Counter(
            {
                (report.tee.value, str(before)): 0
                for report in found.tees
                for before, _ in report.counts
            }
        )
        for report in found.tees:
            for (before, _), platforms in report.counts.items():
                standings[report.tee.value, str(before)] += platforms
        return {
            **plain,
            "standings": [
                {"tee": tee, "standing": standing, "platforms": platforms}
                for (tee, standing), platforms in standings.items()
                if standing != str(Standing.NO_TDX_SVNS)
            ],
            "breaking": found.breaking,
        }

    def _chips_of(self, tenant: Tenant) -> Sequence[KnownChip]:
        # Chips have no labels: none is of a tenant that is told by them.
        return () if tenant.labels else self._chips

    def _count_below(self, move: Move) -> int:
        minimums = move.baseline_before.minimums
        return sum(
            _stand(known.chip.tcb, minimums.get(known.chip.product)) == BELOW
            for known in self._chips_of(move.tenant)
        )

    def list_broken_chips(self, move: Move) -> Iterator[Broken]:
        """
        List the chips that meet the minimum before and not after.
        """
        for chip in self.list_short_chips(move):
            if chip.before != BELOW:
                yield chip

    def list_short_chips(self, move: Move) -> Iterator[Broken]:
        """
        List the chips that do not meet the minimum after, whether they do
        before or not.
        """
        for known in self._chips_of(move.tenant):
            product = known.chip.product
            after = move.baseline_after.minimums.get(product)
            if after is None:
                continue
            tcb = known.chip.tcb
            short = list(list_shortfalls(tcb, after, None))
            before = move.baseline_before.minimums.get(product)
            if short:
                yield Broken(
                    name=name_chip(known),
                    tee=product.value,
                    before=_stand(tcb, before),
                    after=BELOW,
                    findings=tuple(
                        f"{each.component} has {each.found}, {each.needed} is "
                        f"needed ({each.source})"
                        for each in short
                    ),
                    remedies=("firmware",),
                    advisory_ids=(),
                )


def _count_families(fleet: Fleet) -> dict[str, int]:
    """Count the platforms of each FMSPC."""
    found: collections.Counter[str] = collections.Counter()
    for run in fleet.runs:
        found[run.fmspc.hex().upper()] += run.stop - run.start
    return dict(sorted(found.items()))


def _stand(tcb: TcbVersion, minimum: Minimum | None) -> str:
    if minimum is None:
        return "no-opinion"
    is_short = any(True for _ in list_shortfalls(tcb, minimum, None))
    return BELOW if is_short else "at-minimum"


def name_chip(known: KnownChip) -> str:
    """
    Say which chip that is: by its name, else by its hardware ID.
    """
    chip = known.chip
    return chip.name or chip.hw_id.hex().upper()


def describe_flip(flip: Flip) -> Broken:
    """
    Say who breaks, and why.
    """
    remedies = {f.remedy.value for f in flip.findings if f.remedy}
    advisories = {a for f in flip.findings for a in f.advisory_ids}
    return Broken(
        name=flip.name,
        tee=flip.tee.value,
        before=str(flip.before),
        after=str(flip.after),
        findings=tuple(finding.detail for finding in flip.findings),
        remedies=tuple(sorted(remedies)),
        advisory_ids=tuple(sorted(advisories)),
    )


def open_judge(store: Path, now: datetime) -> FleetJudge:
    """
    Judge by the platforms that *store* knows.
    """
    return FleetJudge(Replica(store), now)
