"""
Change baselines by plan: made and tried on the fleet, applied to canaries
first, applied, and rolled back.

What a change breaks is worked out before anything is locked: the decision is
then made only if nobody has made another meanwhile.
"""

from __future__ import annotations

import contextlib
import dataclasses

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thim.baseline.decided import Promotion
from thim.baseline.definition import Kind
from thim.baseline.model import ROOT
from thim.baseline.rollout import (
    Body,
    Impact,
    Plan,
    State,
    Step,
    check_fits,
    list_seen,
)
from thim.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    ParameterError,
)
from thim.services.deciding import Decider, Decision, deciding
from thim.services.moves import (
    list_plan_moves,
    list_promotion_moves,
    make_move,
)
from thim.services.plan_steps import define_steps, move_step
from thim.services.promotions import approve, demote, require_pending
from thim.store.plan_view import PlanView
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from thim.baseline.model import Baseline
    from thim.services.moves import Judge
    from thim.store.ledger import Ledger


class Planner:
    """
    Plans and carries out changes in *ledger*, as *decision* says who and why.

    *most* is the share of a tenant's platforms (0 to 1) that a change may
    break; *judge* says what it does.  *clock* says when it is decided, since
    to wait for others and to judge takes time; by default it is when
    *decision* says.
    """

    def __init__(
        self,
        ledger: Ledger,
        decision: Decision,
        judge: Judge,
        most: float,
        *,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._ledger = ledger
        self._decision = decision
        self._judge = judge
        self._most = most
        self._clock = clock or (lambda: decision.now)

    @contextlib.contextmanager
    def _deciding(self) -> Iterator[Decider]:
        with deciding(self._ledger) as decider:
            # Only now is in force what others have decided meanwhile.
            self._decision = dataclasses.replace(
                self._decision, now=self._clock()
            )
            yield decider

    def plan_definition(
        self, baseline: Baseline, canaries: Sequence[str] = ()
    ) -> Plan:
        """
        Plan that *baseline* is what its name stands for: a new one, or another
        version.  Canaries are tenants that use it.

        Raises:
            ThimError: It cannot be so; the message says why.
        """
        with self._deciding() as decider:
            steps = define_steps(decider, baseline, canaries, self._decision)
            version = steps[0].version
            what = f"baseline {baseline.name} becomes version {version}"
            plan = self._keep(decider, what, steps)
        return self.read(plan)

    def plan_move(
        self, tenants: Sequence[str], name: str, canaries: Sequence[str] = ()
    ) -> Plan:
        """
        Plan that *tenants* go over to the baseline *name*.  Canaries are some
        of them.

        Raises:
            ThimError: It cannot be so; the message says why.
        """
        for canary in canaries:
            if canary not in tenants:
                expected = "expected one of the tenants that are moved"
                raise ParameterError("canary", canary, expected)
        with self._deciding() as decider:
            steps = [
                move_step(
                    decider,
                    tenant,
                    name,
                    self._decision,
                    is_canary=tenant in canaries,
                )
                for tenant in dict.fromkeys(tenants)
            ]
            moved = ", ".join(step.name for step in steps)
            what = f"{moved} to baseline {name}"
            plan = self._keep(decider, what, steps)
        return self.read(plan)

    def check_move(self, tenant: str, name: str) -> None:
        """
        Check that *tenant* may go over to the baseline *name* at once.

        Raises:
            ForbiddenError: It would break more than it may.
            NotFoundError: There is no such tenant or baseline.
        """
        now = self._clock()
        with self._reading() as replica:
            book = replica.book()
            there = book.find_baseline(name, now, now, tenant)
            found = book.find_tenant(tenant, now, now)
            move = make_move(replica, found, there, now)
        self._check_impacts([self._judge(move)])

    def _keep(self, decider: Decider, what: str, steps: Sequence[Step]) -> int:
        effective = self._decision.effective
        body = Body(
            what=what,
            steps=tuple(steps),
            seen=list_seen(decider.book, steps),
            effective=None if effective is None else effective.isoformat(),
        )
        return self._ledger.plans.add(
            body,
            author=self._decision.actor,
            reason=self._decision.reason,
            now=self._decision.now,
        )

    def read(self, plan_id: int) -> Plan:
        """
        Read a plan.

        Raises:
            NotFoundError: There is none.
        """
        with self._reading() as replica:
            return PlanView(replica).find(plan_id)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Replica]:
        with contextlib.closing(Replica(self._ledger.path)) as replica:
            yield replica

    def try_out(self, plan: Plan) -> Sequence[Impact]:
        """
        Work out what the next stage of *plan* does to each tenant.

        Raises:
            ConflictError: The plan does not fit any more, or is through.
        """
        _, steps = plan.next_steps()
        with self._reading() as replica:
            check_fits(plan, replica.book())
        return self._try(plan, steps)

    def try_all(self, plan: Plan) -> Sequence[Impact]:
        """
        Work out what all of *plan* does to each tenant.
        """
        return self._try(plan, plan.body.steps)

    def _try(self, plan: Plan, steps: Iterable[Step]) -> Sequence[Impact]:
        with self._reading() as replica:
            moves = list_plan_moves(replica, plan, steps, self._decision.now)
        return [self._judge(move) for move in moves]

    def apply(self, plan: Plan, *, is_forced: bool = False) -> Plan:
        """
        Carry out the next stage of *plan*, unless it would break more of a
        tenant's platforms than it may.

        Raises:
            ForbiddenError: It would, and is not forced.
            ConflictError: The plan does not fit any more, or is through.
        """
        if not is_forced:
            self._check_impacts(self.try_out(plan))
        state, steps = plan.next_steps()
        with self._deciding() as decider:
            check_fits(plan, decider.book)
            decision = self._decide(plan, is_forced=is_forced)
            for step in steps:
                decider.enact(
                    step.kind,
                    step.name,
                    step.version,
                    decision,
                    tenant=step.tenant,
                )
                self._begin_hold(decider, step, decision)
            self._move(plan, state, decision)
        return self.read(plan.id)

    def _decide(self, plan: Plan, *, is_forced: bool) -> Decision:
        return dataclasses.replace(
            self._with_reason(plan.reason, is_forced=is_forced),
            effective=plan.find_effective(self._decision.now),
            plan=plan.id,
        )

    def _begin_hold(
        self, decider: Decider, step: Step, decision: Decision
    ) -> None:
        """Write down where a held baseline stands when it comes into force."""
        if step.kind is not Kind.BASELINE:
            return
        baseline = decider.book.read_baseline(step.name, step.version)
        if baseline.hold is None or decider.book.promotions(baseline):
            return
        number = decider.check_yields(baseline, decision.now)
        if number is not None:
            self._ledger.definitions.promote(
                Promotion(
                    baseline=step.name,
                    version=step.version,
                    sequence=1,
                    number=number,
                    noticed=decision.now,
                    effective=decision.since,
                    actor=decision.actor,
                    reason="where it begins",
                )
            )

    def _check_impacts(self, impacts: Iterable[Impact]) -> None:
        broken = [each for each in impacts if each.share > self._most]
        if broken:
            listed = "; ".join(
                f"tenant {each.tenant}: {each.breaking} of {each.judged} "
                f"platforms are acceptable at {each.before} and would not be "
                f"at {each.after}"
                for each in broken
            )
            msg = (
                f"{listed}; allowed are {self._most:.1%} of them "
                "(--break-more-than-allowed does it all the same)"
            )
            raise ForbiddenError(msg, reason="breaks-too-many")

    def roll_back(self, plan: Plan) -> Plan:
        """
        Take back what *plan* has done.

        Raises:
            ConflictError: It has done nothing, or somebody has decided
                something else since.
            NotFoundError: There was no version before.
        """
        steps = plan.done_steps()
        with self._deciding() as decider:
            check_fits(plan, decider.book)
            decision = dataclasses.replace(
                self._decision, effective=None, plan=plan.id
            )
            for step in reversed(steps):
                self._take_back(decider, step, decision)
            self._move(plan, State.ROLLED_BACK, decision)
        return self.read(plan.id)

    def _take_back(
        self, decider: Decider, step: Step, decision: Decision
    ) -> None:
        if step.before is None:
            msg = (
                f"{step.kind.value} {step.name} was new: there is nothing to "
                f"go back to; move its tenants to another one"
            )
            raise NotFoundError(msg, reason="no-version-before")
        version = step.before
        if version == 0:  # what thim ships has no version of its own yet
            version = decider.define_tenant(ROOT, decision)
        decider.enact(
            step.kind, step.name, version, decision, tenant=step.tenant
        )

    def approve(self, name: str, *, is_forced: bool = False) -> Promotion:
        """
        Let a held baseline go at once where its rule is.

        Raises:
            ForbiddenError: It would break more than it may, and is not forced.
            ConflictError: It waits for nothing, or somebody else was first.
            NotFoundError: There is no such baseline.
        """
        now = self._decision.now
        with self._reading() as replica:
            book = replica.book()
            baseline = book.find_baseline(name, now, now)
            seen = require_pending(book, baseline, now)
            moves = list_promotion_moves(replica, baseline, now)
        if not is_forced:
            self._check_impacts([self._judge(move) for move in moves])
        with self._deciding() as decider:
            now = self._decision.now
            current = decider.book.find_baseline(name, now, now)
            if require_pending(decider.book, current, now) != seen:
                msg = (
                    f"baseline {name} waits for something else by now: nothing "
                    f"was done; look at it again"
                )
                raise ConflictError(msg, reason="changed-meanwhile")
            decision = self._with_reason("approved", is_forced=is_forced)
            return approve(self._ledger, decider.book, current, decision)

    def demote(self, name: str) -> Promotion:
        """
        Put a held baseline back to the number before.

        Raises:
            ConflictError: It stood nowhere before, or somebody else was first.
            NotFoundError: There is no such baseline.
        """
        with self._deciding() as decider:
            now = self._decision.now
            baseline = decider.book.find_baseline(name, now, now)
            return demote(self._ledger, decider.book, baseline, self._decision)

    def _with_reason(self, usual: str, *, is_forced: bool) -> Decision:
        reason = self._decision.reason or usual
        if is_forced:
            reason += " (forced)"
        return dataclasses.replace(self._decision, reason=reason)

    def _move(self, plan: Plan, state: State, decision: Decision) -> None:
        self._ledger.plans.move(
            plan,
            state,
            actor=decision.actor,
            reason=decision.reason,
            now=decision.now,
        )
